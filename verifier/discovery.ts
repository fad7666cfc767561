import { show } from '../lib/options/check.js'
import { metadataPaths, rebase } from '../lib/http/server-metadata.js'
import { UnexpectedAnswer } from './requests.js'
import type { Requests } from './requests.js'

/** The names of the endpoints in the metadata. */
const MEMBERS = {
  jwksUri: 'jwks_uri',
  tokenEndpoint: 'token_endpoint',
  introspectionEndpoint: 'introspection_endpoint',
  feedEndpoint: 'revocation_feed_endpoint'
} as const

export type EndpointName = keyof typeof MEMBERS

/** The parts of the metadata that a verifier needs. */
interface ServiceMetadata {
  jwksUri: string
  tokenEndpoint: string | undefined
  introspectionEndpoint: string | undefined
  feedEndpoint: string | undefined
  scopes: readonly string[]
}

/** The name of the service, and the URL at which it is reached. Often they are the same. */
export interface Place {
  issuer: string
  address: string
}

/** Reads the metadata at the first of the two places that has it. Any response except 404 ends the search. */
async function readMetadata (
  address: string, requests: Requests
): Promise<{ url: string, members: Record<string, unknown> }> {
  const { origin } = new URL(address)
  const [first, second] = metadataPaths(address)
  const read = async (path: string): ReturnType<typeof readMetadata> => {
    const url = origin + path
    return { url, members: (await requests.json(url)).members }
  }
  try {
    return await read(first)
  } catch (error) {
    if (second === first || !(error instanceof UnexpectedAnswer) || error.status !== 404) throw error
  }
  return await read(second)
}

/**
 * Reads the metadata of an issuer: RFC 8414. Throws if it belongs to another issuer (section 3.3), or names an unsafe
 * endpoint. Endpoints that receive the client secret or an access token must be at the origin of the issuer, and are
 * reached at the address. The keys may also come from another origin by https.
 */
async function discover ({ issuer, address }: Place, requests: Requests): Promise<ServiceMetadata> {
  const { origin } = new URL(issuer)
  const { url, members } = await readMetadata(address, requests)
  if (members.issuer !== issuer) {
    throw new Error(`The metadata at ${url} names the issuer ${show(members.issuer)}, ` +
      `but the option issuer is ${show(issuer)}: set it to exactly the same text`)
  }

  function read (name: string): string | undefined {
    const value = members[name]
    if (value === undefined) return undefined
    const target = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
    const mayLeave = name === 'jwks_uri' && target?.protocol === 'https:'
    if (
      target === undefined ||
      target.username !== '' ||
      target.password !== '' ||
      (target.origin !== origin && !mayLeave)
    ) {
      throw new Error(`The metadata at ${url} contains a ${name} that is not at ${origin}`)
    }
    return address === issuer || target.origin !== origin ? target.href : rebase(target, { issuer, address })
  }

  const jwksUri = read('jwks_uri')
  if (jwksUri === undefined) throw new Error(`The metadata at ${url} has no jwks_uri`)
  const scopes = members.scopes_supported ?? []
  if (!Array.isArray(scopes) || !scopes.every(scope => typeof scope === 'string')) {
    throw new Error(`The metadata at ${url} has a scopes_supported that is not a list of names`)
  }
  return {
    jwksUri,
    tokenEndpoint: read('token_endpoint'),
    introspectionEndpoint: read('introspection_endpoint'),
    feedEndpoint: read('revocation_feed_endpoint'),
    scopes
  }
}

/** Reads the metadata of the service and keeps it. */
export interface Discovery {
  /** Reads the metadata, unless it is known. */
  load (): Promise<void>
  /** Discards the metadata, so that the next `load` reads it again. */
  forget (): void
  /** Returns the URL of an endpoint. Throws if the metadata has not been read, or lacks it. */
  endpoint (name: EndpointName): string
  scopes (): readonly string[] | undefined
}

export function createDiscovery ({ issuer, address }: Place, requests: Requests): Discovery {
  let metadata: ServiceMetadata | undefined
  return {
    async load () {
      metadata ??= await discover({ issuer, address }, requests)
    },
    forget () {
      metadata = undefined
    },
    endpoint (name) {
      if (metadata === undefined) throw new Error(`${issuer} has not been reached yet`)
      const endpoint = metadata[name]
      if (endpoint === undefined) throw new Error(`The metadata of ${issuer} lacks the required ${MEMBERS[name]}`)
      return endpoint
    },
    scopes: () => metadata?.scopes
  }
}
