import type { Static } from 'typebox'
import { describeGrantType, GRANT_TYPES } from '../../schemas/grants.js'
import type { GrantTypeName } from '../../schemas/grants.js'
import type { ServerMetadata } from '../../schemas/service.js'

/** RFC 8414 section 3. */
const WELL_KNOWN = '/.well-known/oauth-authorization-server'

/** The source of the metadata. */
export interface MetadataSource {
  issuer: string
  /** The full path prefix of the routes, including the prefixes of the host. */
  prefix: string
  /** The catalogue. */
  catalogue: Readonly<Record<string, string>>
  docs: boolean
  /** The grant types that `POST /token` accepts. Default: all. */
  grantTypes?: readonly GrantTypeName[]
}

/**
 * How a client with a secret can authenticate. First-party apps and public clients use `none`.
 */
const CLIENT_AUTHENTICATION = ['client_secret_basic', 'client_secret_post']

/**
 * Returns the server metadata (RFC 8414 section 2). `issuer` is the option, character for character (section 3.3).
 */
export function createServerMetadata (
  { issuer, prefix, catalogue, docs, grantTypes = GRANT_TYPES }: MetadataSource
): Static<typeof ServerMetadata> {
  const base = baseOf(issuer, prefix)
  const isForAnyone = grantTypes.some(name => !describeGrantType(name).needsClient)
  return {
    issuer,
    token_endpoint: `${base}/token`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    scopes_supported: Object.keys(catalogue),
    response_types_supported: [],
    grant_types_supported: grantTypes.filter(name => describeGrantType(name).isListed).sort(),
    token_endpoint_auth_methods_supported: [...CLIENT_AUTHENTICATION, ...(isForAnyone ? ['none'] : [])],
    revocation_endpoint: `${base}/revoke`,
    revocation_endpoint_auth_methods_supported: [...CLIENT_AUTHENTICATION, 'none'],
    introspection_endpoint: `${base}/introspect`,
    introspection_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
    revocation_feed_endpoint: `${base}/revocations`,
    ...(docs ? { service_documentation: `${base}/docs` } : {})
  }
}

/**
 * Returns the path of an issuer's metadata. Section 3.1 puts the well-known part between the host and the path of the
 * issuer.
 */
export function metadataPath (issuer: string): string {
  return WELL_KNOWN + pathOf(issuer)
}

/**
 * Returns the paths at which an issuer's metadata may be: the one of section 3.1, and the one below the path of the
 * issuer, which a proxy serves if it passes on nothing else. They are the same if the issuer has no path.
 */
export function metadataPaths (issuer: string): [first: string, second: string] {
  return [metadataPath(issuer), pathOf(issuer) + WELL_KNOWN]
}

/**
 * Returns the URL at which an endpoint is reached if the issuer is reached at another address: below the path of the
 * issuer its path continues that of the address.
 */
export function rebase (endpoint: URL, { issuer, address }: { issuer: string, address: string }): string {
  const path = endpoint.pathname + endpoint.search
  const base = pathOf(issuer)
  return path.startsWith(`${base}/`) ? trimSlashes(address) + path.slice(base.length) : new URL(address).origin + path
}

/** Returns the URL of the routes. If the issuer ends with their prefix, the prefix is not added again. */
export function baseOf (issuer: string, prefix: string): string {
  const trimmed = trimSlashes(issuer)
  return pathOf(issuer).endsWith(prefix) ? trimmed : trimmed + prefix
}

/** Returns the path of an issuer as it is written, without trailing slashes. */
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
