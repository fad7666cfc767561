import { readBase64, zeros } from './format.js'
import type { ForeignHash, HashFormat } from './format.js'

const KIB = 1_024

/** The PHC string that all libraries write. Django puts the name of its hasher in front. */
const PATTERN = /^(?:argon2)?\$argon2(id|i)\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,3})\$([^$]+)\$([^$]+)$/

/** Argon2id and Argon2i (RFC 9106). The lanes run one after the other. */
export const argon2: HashFormat = {
  name: 'Argon2',
  unit: 'KiB times passes',
  maxWork: 1_048_576,
  read (hash) {
    const [, kind, kib, passes, lanes, salt = '', digest = ''] = PATTERN.exec(hash) ?? []
    const bytes = { salt: readBase64(salt, { min: 8 }), digest: readBase64(digest) }
    const [m, t, p] = [Number(kib), Number(passes), Number(lanes)]
    if (bytes.salt === undefined || bytes.digest === undefined) return undefined
    // RFC 9106 section 3.1: each lane has at least 8 blocks of a KiB.
    if (t < 1 || p < 1 || m < 8 * p) return undefined
    return {
      family: 'argon2',
      work: m * t,
      memory: m * KIB,
      dummy: `$argon2${kind}$v=19$m=${m},t=${t},p=${p}$${zeros(16)}$${zeros(32)}`,
      digest: bytes.digest,
      derive: (password, work) => derive(password, work, { kind, m, p, salt: bytes.salt, size: bytes.digest?.length })
    } satisfies ForeignHash
  }
}

interface Parameters {
  kind: string | undefined
  m: number
  p: number
  salt?: Buffer
  size?: number
}

async function derive (
  password: string, work: number, { kind, m, p, salt = Buffer.alloc(16), size = 32 }: Parameters
): Promise<Uint8Array> {
  // Loaded on demand, because most apps never import such a hash.
  const { argon2i, argon2id } = await import('hash-wasm')
  const run = async (memorySize: number, iterations: number): Promise<Uint8Array> => {
    return await (kind === 'i' ? argon2i : argon2id)({
      password, salt, parallelism: p, memorySize, iterations, hashLength: size, outputType: 'binary'
    })
  }
  const passes = Math.floor(work / m)
  const rest = Math.floor(work - passes * m)
  const derived = passes > 0 ? await run(m, passes) : undefined
  // The rest of another hash's work is one pass over less memory. A whole hash has no rest.
  return derived !== undefined && rest < 8 * p ? derived : await run(Math.max(8 * p, rest), 1)
}
