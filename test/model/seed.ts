/**
 * Where the random numbers of a test begin: the same each time, unless `LATCHKEY_TEST_SEED` is a number or `random`.
 */
export const SEED = process.env.LATCHKEY_TEST_SEED === 'random'
  ? Math.floor(Math.random() * 2 ** 31)
  : Number(
    process.env.LATCHKEY_TEST_SEED ?? 1
  )
