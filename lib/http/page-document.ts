import type { SecurityScheme } from './security-schemes.js'

/** The parts of an OpenAPI document that the page changes. */
interface Document {
  info: { description?: string }
  paths?: Record<string, Record<string, unknown> | undefined>
  components?: { securitySchemes?: Record<string, unknown> }
}

/**
 * Changes the document into the one that the page shows, in place. A person logs in there, so it offers only the login
 * with a password, or a token to paste if the password grant is off. A form for machine clients accepts a username and
 * a password too, and every call would then get 401. The published document keeps all schemes.
 * @param prefix - the prefix of the routes.
 */
export function showOnPage<Shown extends Document> (document: Shown, prefix: string): Shown {
  const schemes = document.components?.securitySchemes as Record<string, SecurityScheme> | undefined
  const { oauth2, bearer } = schemes ?? {}
  const password = oauth2?.type === 'oauth2' ? oauth2.flows.password : undefined
  const kept = password === undefined
    ? { bearer }
    : { oauth2: { type: 'oauth2', description: 'Log in with your username and password.', flows: { password } } }
  document.components = { ...document.components, securitySchemes: kept }
  for (const path of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(path ?? {})) keepSecurity(operation as Operation, kept)
  }
  const firstStep = password === undefined ? startWithToken(`${prefix}/login` in (document.paths ?? {})) : LOG_IN
  document.info.description = [
    `${document.info.description ?? ''}\n`,
    `1. ${firstStep}`,
    '2. Open an operation, select **Try it out**, then **Execute**.',
    `\nFor programs, [openapi.json](${prefix}/openapi.json) also lists the other ways to authenticate.`
  ].join('\n')
  return document
}

const LOG_IN =
  'Select **Authorize** and log in with your username and password. If you tick no scope, you get all your scopes.'

function startWithToken (hasLogin: boolean): string {
  return hasLogin
    ? 'Execute **POST /login** below to log in with cookies, or select **Authorize** and paste an access token.'
    : 'Select **Authorize** and paste an access token.'
}

interface Operation {
  security?: Array<Record<string, readonly string[]>>
}

function keepSecurity (operation: Operation, schemes: object): void {
  operation.security = operation.security?.filter(needed => Object.keys(needed).every(name => name in schemes))
}
