// `npm run bench` installs the packages that measure into bench/peers. The benchmark loads them when it needs them,
// because the rest of the project is compiled and tested without them.

/** What a connection of autocannon sends. */
interface Request {
  method: 'GET'
  path: string
  headers: Record<string, string>
}

interface LoadOptions {
  url: string
  headers: Record<string, string>
  connections: number
  /** In seconds. */
  duration: number
  setupClient (client: { setRequests (requests: Request[]): void }): void
}

interface LoadResult {
  latency: { p99: number }
  requests: { total: number }
  errors: number
  timeouts: number
  non2xx: number
  /** In seconds. */
  duration: number
}

interface Usage {
  /** The CPU time that the process has used until now, in milliseconds. */
  ctime: number
  /** In bytes. */
  memory: number
}

interface Tools {
  autocannon (options: LoadOptions): Promise<LoadResult>
  pidusage (pid: number): Promise<Usage>
}

export async function loadTools (): Promise<Tools> {
  return await import(new URL('../../bench/peers/tools.js', import.meta.url).href) as Tools
}
