import type { Settings } from '../options/options.js'
import { grantTypesOf } from '../options/own-routes.js'
import { fullCookieNames } from './cookie-names.js'
import { BEARER } from './credentials.js'

interface Flow {
  tokenUrl: string
  scopes: Record<string, string>
}

/** The parts of the "Security Scheme Object" of OpenAPI 3.1 that Latchkey uses. */
export type SecurityScheme = { description: string } & (
  { type: 'oauth2', flows: { password?: Flow & { refreshUrl?: string }, clientCredentials: Flow } } |
  { type: 'http', scheme: string, bearerFormat?: string } |
  { type: 'apiKey', in: 'cookie', name: string }
)

/** The ways to send an access token, and to authenticate as a machine client, as components of an OpenAPI document. */
export function securitySchemes (
  settings: Settings,
  prefix: string
): Record<string, SecurityScheme> {
  const { catalogue, scheme } = settings
  const grants = grantTypesOf(settings)
  const endpoint = { tokenUrl: `${prefix}/token`, scopes: { ...catalogue } }
  const refresh = grants.includes('refresh_token') ? { refreshUrl: endpoint.tokenUrl } : {}
  return {
    oauth2: {
      type: 'oauth2',
      description: grants.includes('password')
        ? 'Get an access token with a username and a password, or as a machine client.'
        : 'Get an access token as a machine client.',
      flows: {
        ...(grants.includes('password') ? { password: { ...endpoint, ...refresh } } : {}),
        clientCredentials: endpoint
      }
    },
    bearer: {
      type: 'http',
      ...(scheme === BEARER ? { scheme: 'bearer', bearerFormat: 'JWT' } : { scheme }),
      description: 'An access token in the Authorization header (RFC 6750).'
    },
    cookie: {
      type: 'apiKey',
      in: 'cookie',
      name: fullCookieNames(settings).access,
      description: 'An access token in the HttpOnly cookie that a login in a browser sets.'
    },
    key: {
      type: 'http',
      ...(scheme === BEARER ? { scheme: 'bearer' } : { scheme }),
      description: 'A personal access token in the Authorization header. It begins with `lkp_`.'
    },
    client: {
      type: 'http',
      scheme: 'basic',
      description: 'The id and secret of a machine client (RFC 6749 section 2.3.1).'
    }
  }
}
