import { createClient, ResponseError } from './client.js'

// The origin of the API. '' is the origin of the page.
const { api } = document.documentElement.dataset
const client = createClient({ url: `${api}/auth`, transport: 'cookie' })
const [message, login, account, add, load, logout, notes] = [
  'message',
  'login',
  'account',
  'add',
  'load',
  'logout',
  'notes'
].map(id => document.getElementById(id))

/** Shows the login form, or the notes. */
function show (isLoggedIn, text) {
  login.hidden = isLoggedIn
  account.hidden = !isLoggedIn
  message.textContent = text
}

/** Calls the API, and shows the notes that it returns. */
async function showNotes (options) {
  const response = await client.fetch(`${api}/notes`, options)
  if (!response.ok) {
    return show(false, response.status === 401 ? 'You are logged out.' : `The request failed: ${response.status}`)
  }
  const texts = await response.json()
  notes.replaceChildren(...texts.map(text => Object.assign(document.createElement('li'), { textContent: text })))
  show(true, `${texts.length} notes`)
}

/** Runs `work` instead of the browser's default action. */
function on (element, event, work) {
  element.addEventListener(event, domEvent => {
    domEvent.preventDefault()
    work().catch(error => { message.textContent = `The API cannot be reached: ${error.message}` })
  })
}

on(login, 'submit', async () => {
  const { username, password } = login.elements
  try {
    await client.logIn({ username: username.value, password: password.value })
  } catch (error) {
    if (error instanceof ResponseError) return show(false, error.message)
    throw error
  }
  login.reset()
  await showNotes()
})

on(add, 'submit', async () => {
  const body = new URLSearchParams(new FormData(add))
  add.reset()
  await showNotes({ method: 'POST', body })
})

on(load, 'click', () => showNotes())

on(logout, 'click', async () => {
  await client.logOut()
  show(false, 'You are logged out.')
})

showNotes().catch(error => show(false, `The API cannot be reached: ${error.message}`))
