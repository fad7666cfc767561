import { Type } from 'typebox'
import type { Static } from 'typebox'

/** The options that only the service takes, from its environment. */
export const ServiceOptions = Type.Object({
  host: Type.Optional(Type.String({
    minLength: 1,
    description: 'The address to listen on.',
    default: '127.0.0.1',
    env: 'HOST',
    expects: 'an address or a host name'
  })),
  port: Type.Optional(Type.Integer({
    minimum: 0,
    maximum: 65535,
    description: 'The port to listen on. With 0, the system picks a free one.',
    default: 3000,
    env: 'PORT',
    expects: 'a whole number from 0 to 65535'
  })),
  trustProxy: Type.Optional(Type.Array(Type.String({ minLength: 1 }), {
    description: 'The addresses or CIDR ranges of the reverse proxies whose `X-Forwarded-*` headers are trusted. ' +
      'Default: none.',
    default: [],
    env: 'LATCHKEY_TRUST_PROXY',
    list: true,
    expects: 'a list of addresses or CIDR ranges, for example 10.0.0.0/8'
  })),
  logLevel: Type.Optional(Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    description: 'The lowest level that is logged.',
    default: 'info',
    env: 'LATCHKEY_LOG_LEVEL',
    expects: 'fatal, error, warn, info, debug, trace or silent'
  })),
  logFormat: Type.Optional(Type.Enum(['json', 'text'], {
    description: 'The format of the log: JSON for programs, or text for people. Default: text on a terminal, ' +
      'otherwise JSON.',
    env: 'LATCHKEY_LOG_FORMAT',
    expects: 'json or text'
  })),
  config: Type.Optional(Type.String({
    description: 'The path of the options file. Default: `latchkey.config.js` in the working directory, if it exists.',
    env: 'LATCHKEY_CONFIG',
    expects: 'the path of a file'
  }))
}, { additionalProperties: false })

export type ServiceOptions = Static<typeof ServiceOptions>

/** The same with defaults. `logFormat` and `config` have none, because theirs depend on the terminal and the folder. */
export type ServiceSettings =
  & Required<Omit<ServiceOptions, 'logFormat' | 'config'>>
  & Pick<ServiceOptions, 'logFormat' | 'config'>
