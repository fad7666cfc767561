import { show } from '../lib/options/check.js'
import { metadataPath } from '../lib/http/server-metadata.js'
import type { Requests } from './requests.js'

/** What the endpoints are called in the metadata. */
const MEMBERS = {
  jwksUri: 'jwks_uri',
  tokenEndpoint: 'token_endpoint',
  introspectionEndpoint: 'introspection_endpoint',
  feedEndpoint: 'revocation_feed_endpoint'
} as const

export type EndpointName = keyof typeof MEMBERS

/** What the verifier needs to know of the service. */
interface ServiceMetadata {
  jwksUri: string
  tokenEndpoint: string | undefined
  introspectionEndpoint: string | undefined
  feedEndpoint: string | undefined
  scopes: readonly string[]
}

/**
 * Reads the metadata of an issuer: RFC 8414. Throws where they are not its own (section 3.3), or name a place to which nothing of
 * ours must go: what gets the secret of the client, or an access token, is at the issuer itself, and the keys are there or come by https.
 */
async function discover (issuer: string, requests: Requests): Promise<ServiceMetadata> {
  const { origin } = new URL(issuer)
  const url = origin + metadataPath(issuer)
  const { members } = await requests.json(url)
  if (members.issuer !== issuer) throw new Error(`The metadata at ${url} are those of the issuer ${show(members.issuer)}, and the option issuer says ${show(issuer)}: it must be the same to the letter`)

  function read (name: string): string | undefined {
    const value = members[name]
    if (value === undefined) return undefined
    const target = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
    const mayLeave = name === 'jwks_uri' && target?.protocol === 'https:'
    if (target === undefined || target.username !== '' || target.password !== '' || (target.origin !== origin && !mayLeave)) {
      throw new Error(`The metadata at ${url} name a ${name} that is not at ${origin}`)
    }
    return target.href
  }

  const jwksUri = read('jwks_uri')
  if (jwksUri === undefined) throw new Error(`The metadata at ${url} have no jwks_uri`)
  const scopes = members.scopes_supported ?? []
  if (!Array.isArray(scopes) || !scopes.every(scope => typeof scope === 'string')) throw new Error(`The metadata at ${url} have scopes_supported that are no list of names`)
  return {
    jwksUri,
    tokenEndpoint: read('token_endpoint'),
    introspectionEndpoint: read('introspection_endpoint'),
    feedEndpoint: read('revocation_feed_endpoint'),
    scopes
  }
}

/** The metadata of the service, once they have been read. */
export interface Discovery {
  load (): Promise<void>
  forget (): void
  /** An endpoint that the service must have told. */
  endpoint (name: EndpointName): string
  scopes (): readonly string[] | undefined
}

/** Creates the holder of the metadata of an issuer. */
export function createDiscovery (issuer: string, requests: Requests): Discovery {
  let metadata: ServiceMetadata | undefined
  return {
    async load () {
      metadata ??= await discover(issuer, requests)
    },
    forget () {
      metadata = undefined
    },
    endpoint (name) {
      if (metadata === undefined) throw new Error(`${issuer} has not been reached yet`)
      const endpoint = metadata[name]
      if (endpoint === undefined) throw new Error(`The metadata of ${issuer} lack an endpoint that is needed (${MEMBERS[name]})`)
      return endpoint
    },
    scopes: () => metadata?.scopes
  }
}
