import { Type } from 'typebox'
import { SECONDS_PATTERN } from './common.js'
import { EXAMPLE } from './examples.js'

/** draft-ietf-oauth-status-list-21 section 8.2. */
export const STATUS_LIST_TYPE = 'application/statuslist+jwt'

export const StatusListParams = Type.Object({ id: Type.String({ maxLength: 100 }) })

export const StatusListQuery = Type.Object({
  time: Type.Optional(Type.String({
    pattern: SECONDS_PATTERN,
    description: 'Asks for the list at another time. Such lists are not kept, so the response is 501.'
  }))
})

/** A signed list. */
export const StatusListToken = Type.String({
  description: 'The list: a JWT with the `typ` `statuslist+jwt`, signed with a key of the JWKS.',
  examples: [EXAMPLE.statusList]
})

export const NotModified = Type.Null({ description: 'The client already has the current list (`If-None-Match`).' })
