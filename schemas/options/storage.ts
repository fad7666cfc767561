import { Type } from 'typebox'
import { DURATION_PATTERN } from './formats.js'

/** Where Latchkey stores its data. */
export const storage = {
  /**
   * The path of a SQLite database, created if it does not exist, or `:memory:`. For more than one machine, the URL of a
   * PostgreSQL database: `postgres://user:password@host:port/database`. It may list several servers, separated by
   * commas. Default `./latchkey.db`.
   */
  database: Type.Optional(Type.String({
    minLength: 1,
    pattern: '^([Pp][Oo][Ss][Tt][Gg][Rr][Ee][Ss]([Qq][Ll])?://[^\\s]+$|(?![A-Za-z]+://))',
    description: 'The path of a SQLite database, created if it does not exist, or `:memory:`. For more than one ' +
      'machine, the URL of a PostgreSQL database: `postgres://user:password@host:port/database`. It may list several ' +
      'servers, separated by commas.',
    default: './latchkey.db',
    env: 'LATCHKEY_DATABASE',
    expects: "the path of a SQLite database, ':memory:', or a URL such as postgres://user:password@host:5432/database"
  })),
  /**
   * With PostgreSQL: how long a revocation acknowledged by another node may be unknown here, at least `100ms`. A node
   * that cannot tell asks the database for each request, and responds 503 if the database does not answer. With SQLite,
   * a revocation is in force on the next request. Default `1s`.
   */
  revocationBound: Type.Optional(Type.String({
    pattern: DURATION_PATTERN,
    description: 'With PostgreSQL: how long a revocation acknowledged by another node may be unknown here, at least ' +
      '`100ms`. A node that cannot tell asks the database for each request, and responds 503 if the database does ' +
      'not answer. With SQLite, a revocation is in force on the next request.',
    default: '1s',
    env: 'LATCHKEY_REVOCATION_BOUND',
    expects: 'a duration from 100ms to 1h'
  })),
  /**
   * The total time that an operation may wait for the database: for a connection, for locks and for the answers. After
   * that, the request gets 503 `store_unavailable`. From `100ms` to `1m`. On SQLite, the time that it waits while
   * another process holds the file. Default `5s`.
   */
  databaseTimeout: Type.Optional(Type.String({
    pattern: DURATION_PATTERN,
    description: 'The total time that an operation may wait for the database: for a connection, for locks and for ' +
      'the answers. After that, the request gets 503 `store_unavailable`. From `100ms` to `1m`. On SQLite, the time ' +
      'that it waits while another process holds the file.',
    default: '5s',
    env: 'LATCHKEY_DATABASE_TIMEOUT',
    expects: 'a duration from 100ms to 1m'
  })),
  /**
   * On PostgreSQL: whether a node continues on a server that lacks changes that this node has seen acknowledged, for
   * example after a failover to an asynchronous standby. Revoked tokens may then work again, and ended sessions are
   * open again. Otherwise the node responds 503 until it is restarted. Default false.
   */
  acceptLostCommits: Type.Optional(Type.Boolean({
    description: 'On PostgreSQL: whether a node continues on a server that lacks changes that this node has seen ' +
      'acknowledged, for example after a failover to an asynchronous standby. Revoked tokens may then work again, ' +
      'and ended sessions are open again. Otherwise the node responds 503 until it is restarted.',
    default: false,
    env: 'LATCHKEY_ACCEPT_LOST_COMMITS',
    expects: 'true or false'
  }))
}
