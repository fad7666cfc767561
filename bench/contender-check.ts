import type { Announcement, Headers } from './contender-process.js'

/** The response of a contender to an accepted request. */
const ITEM = '{"id":1,"name":"Lamp","price":12.5}'

/** The timeout of a request, in milliseconds. */
const ANSWER_LIMIT = 10_000

/** `ok`, `not offered`, or `wrong: ` with the actual result. */
type Verdict = 'ok' | 'not offered' | `wrong: ${string}`

/** The verdicts on the login and on requests with each of the headers. */
export type Verdicts = Record<'good' | 'expired' | 'forged' | 'revoked' | 'login', Verdict>

/** Checks that a contender accepts the good request, rejects the others with 401, and that its login succeeds. */
export async function checkContender ({ url, headers, login }: Announcement): Promise<Verdicts> {
  return {
    good: await judge(fetchItem(url, headers.good), isItem),
    expired: await judge(fetchItem(url, headers.expired), isRefusal),
    forged: await judge(fetchItem(url, headers.forged), isRefusal),
    revoked: await judge(fetchItem(url, headers.revoked), isRefusal),
    login: await judge(
      login && send(url + login.path, { method: login.method, headers: login.headers, body: login.body }),
      isSuccess
    )
  }
}

interface Answer {
  status: number
  type: string | null
  body: string
}

function fetchItem (url: string, headers: Headers | undefined): Promise<Answer> | undefined {
  return headers && send(`${url}/items/1`, { headers })
}

async function send (url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(ANSWER_LIMIT) })
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
}

async function judge (answer: Promise<Answer> | undefined, check: (answer: Answer) => Verdict): Promise<Verdict> {
  if (answer === undefined) return 'not offered'
  try {
    return check(await answer)
  } catch (error) {
    return `wrong: no answer, ${(error as Error).message}`
  }
}

function isItem ({ status, type, body }: Answer): Verdict {
  if (status !== 200) return `wrong: got ${status}`
  if (!/^application\/json\b/.test(type ?? '')) return `wrong: got ${type}`
  return body === ITEM ? 'ok' : `wrong: got ${body.slice(0, 100)}`
}

function isRefusal ({ status }: Answer): Verdict {
  return status === 401 ? 'ok' : `wrong: got ${status}`
}

function isSuccess ({ status }: Answer): Verdict {
  return status >= 200 && status < 300 ? 'ok' : `wrong: got ${status}`
}
