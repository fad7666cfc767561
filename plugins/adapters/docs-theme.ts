/** The icon, a key. Its colour is visible on light and dark tabs. */
export const ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">' +
  '<path fill="none" stroke="#0d9488" stroke-width="4" stroke-linecap="round" d="M16 16h13v5m-6-5v4"/>' +
  '<circle cx="10" cy="16" r="6" fill="none" stroke="#0d9488" stroke-width="4"/></svg>'

/**
 * Hides the fields of a registered client from the login, because the page is a first-party app without one. Keeps the
 * button in view below the scopes. Hides the link to the page's own document, because programs need the complete one.
 */
const STYLES = `
.auth-container div:has(> #password_type), .auth-container div:has(> label[for="password_type"]),
.auth-container div:has(> label[for="client_id_password"]),
.auth-container div:has(> label[for="client_secret_password"]), .info hgroup > a { display: none }
.auth-container .scopes { max-height: 8rem; overflow-y: auto; padding-left: 3px }
@media (prefers-color-scheme: dark) { body { background: #1c2022 } }
`

/** Swagger UI has a dark mode, but its layout without a bar has no switch. This follows the system. */
const COLOR_SCHEME = `
const dark = matchMedia('(prefers-color-scheme: dark)')
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', follow)
follow()
`

/** The look of the page. Each part is a separate file, because the policy of the page allows nothing inline. */
export const THEME = {
  title: 'Latchkey API',
  favicon: [{ filename: 'icon.svg', rel: 'icon', sizes: 'any', type: 'image/svg+xml', content: ICON }],
  css: [{ filename: 'latchkey.css', content: STYLES }],
  js: [{ filename: 'color-scheme.js', content: COLOR_SCHEME }]
}
