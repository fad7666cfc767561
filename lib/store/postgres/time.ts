/**
 * The server's clock, as SQL: milliseconds since the epoch. It advances during a transaction. The server's time counts
 * for all nodes.
 */
export const SERVER_TIME = `pg_catalog.floor(
  extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000
)::bigint`
