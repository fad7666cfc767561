import type { Static } from 'typebox'
import { describeGrantType, GRANT_TYPES } from '../../schemas/grants.js'
import type { ServerMetadata } from '../../schemas/service.js'

/** RFC 8414 section 3. */
export const WELL_KNOWN = '/.well-known/oauth-authorization-server'

/** What the metadata are made of. */
export interface MetadataSource {
  issuer: string
  /** The path under which the routes are, with what the scopes of the host put before it. */
  prefix: string
  /** The catalogue. */
  catalogue: Readonly<Record<string, string>>
  docs: boolean
}

/** How a client can prove who it is; `none`: the first-party apps, which refresh and revoke what they hold. */
const CLIENT_AUTHENTICATION = ['client_secret_basic', 'client_secret_post']

/**
 * What a client needs to know of this server: RFC 8414 section 2. `issuer` is the option to the letter (section 3.3).
 */
export function createServerMetadata ({ issuer, prefix, catalogue, docs }: MetadataSource): Static<typeof ServerMetadata> {
  const base = baseOf(issuer, prefix)
  return {
    issuer,
    token_endpoint: `${base}/token`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    scopes_supported: Object.keys(catalogue),
    response_types_supported: [],
    grant_types_supported: GRANT_TYPES.filter(name => describeGrantType(name).isListed).sort(),
    token_endpoint_auth_methods_supported: [...CLIENT_AUTHENTICATION, 'none'],
    revocation_endpoint: `${base}/revoke`,
    revocation_endpoint_auth_methods_supported: [...CLIENT_AUTHENTICATION, 'none'],
    introspection_endpoint: `${base}/introspect`,
    introspection_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
    revocation_feed_endpoint: `${base}/revocations`,
    ...(docs ? { service_documentation: `${base}/docs` } : {})
  }
}

/** Where a client looks for the metadata of an issuer: section 3.1 puts the well-known part between its host and its path. */
export function metadataPath (issuer: string): string {
  return WELL_KNOWN + pathOf(issuer)
}

/** The URL of the routes. An issuer that ends with their prefix has it already. */
export function baseOf (issuer: string, prefix: string): string {
  const trimmed = trimSlashes(issuer)
  return pathOf(issuer).endsWith(prefix) ? trimmed : trimmed + prefix
}

/** The path of an issuer as it is written, without a slash at its end. */
function pathOf (issuer: string): string {
  return trimSlashes(issuer.replace(/^https?:\/\/[^/]*/, ''))
}

/**
 * Removes trailing slashes. The lookbehind makes the search linear, because only the first slash of a run can begin a
 * match.
 */
function trimSlashes (url: string): string {
  return url.replace(/(?<!\/)\/+$/, '')
}
