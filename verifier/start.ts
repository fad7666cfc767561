import type { EndpointName } from './discovery.js'
import type { Parts } from './parts.js'
import type { Pause } from './pause.js'

/** Reads the metadata and the keys, trying until it has them, and then follows the feed. */
export async function start (
  parts: Pick<Parts, 'discovery' | 'keys' | 'reporter' | 'feed' | 'fallback' | 'checkKey'>,
  { pause, closed }: { pause: Pause, closed: AbortSignal }
): Promise<void> {
  const { discovery, keys, reporter, feed } = parts
  while (!closed.aborted) {
    try {
      await discovery.load()
      for (const name of endpointsFor(parts)) discovery.endpoint(name)
      await keys.load()
      return await feed?.follow()
    } catch (error) {
      if (closed.aborted) return
      reporter.failed(error)
      // An update of the service may add what the metadata lacks.
      discovery.forget()
      await pause.wait()
    }
  }
}

function endpointsFor ({ feed, fallback, checkKey }: Pick<Parts, 'feed' | 'fallback' | 'checkKey'>): EndpointName[] {
  if (feed === undefined) return []
  const asks = fallback !== undefined || checkKey !== undefined
  return ['tokenEndpoint', 'feedEndpoint', ...(asks ? ['introspectionEndpoint' as const] : [])]
}
