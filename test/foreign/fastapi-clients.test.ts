import { spawn } from 'node:child_process'
import axios from 'axios'
import t from 'tap'
import { PASSWORD } from '../helper.js'
import { PYTHON, serve, skipWithoutPython } from './support.js'

// Clients that were written for FastAPI's OAuth2PasswordRequestForm, and post its fields in their own ways.

const LOGIN = { username: 'alice', password: PASSWORD }

t.test('fetch and axios, with FormData and with URLSearchParams', async t => {
  const { issuer } = await serve(t)
  const form = new FormData()
  for (const [name, value] of Object.entries(LOGIN)) form.append(name, value)
  for (const body of [form, new URLSearchParams(LOGIN)]) {
    const response = await fetch(`${issuer}/token`, { method: 'POST', body })
    t.match(await response.json(), { access_token: /^eyJ/ }, `fetch with ${body.constructor.name}`)
    const { data } = await axios.post<{ access_token: string }>(`${issuer}/token`, body, { proxy: false })
    t.match(data, { access_token: /^eyJ/ }, `axios with ${body.constructor.name}`)
    const { data: user } = await axios.get<{ username: string }>(`${issuer}/users/me`, {
      proxy: false, headers: { Authorization: `Bearer ${data.access_token}` }
    })
    t.equal(user.username, 'alice')
  }
  const { data } = await axios.postForm<{ access_token: string }>(`${issuer}/token`, LOGIN, { proxy: false })
  t.match(data, { access_token: /^eyJ/ }, 'axios.postForm')
})

/** Each program gets the issuer and the password, and ends with an error if something is not as it must be. */
const PROGRAMS: Record<string, string> = {
  requests: `
import sys, requests
url, password = sys.argv[1:]
login = {"username": "alice", "password": password}
parts = {name: (None, value) for name, value in login.items()}
session = requests.Session()
session.trust_env = False
for sent in ({"data": login}, {"files": parts}):
    token = session.post(url + "/token", **sent).json()["access_token"]
    assert session.get(url + "/users/me", headers={"Authorization": "Bearer " + token}).json()["username"] == "alice"
`,
  httpx: `
import sys, httpx
url, password = sys.argv[1:]
login = {"username": "alice", "password": password}
parts = {name: (None, value) for name, value in login.items()}
with httpx.Client(trust_env=False) as client:
    for sent in ({"data": login}, {"files": parts}):
        token = client.post(url + "/token", **sent).json()["access_token"]
        assert client.get(url + "/users/me", headers={"Authorization": "Bearer " + token}).json()["username"] == "alice"
`,
  requests_oauthlib: `
import os, sys
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = os.environ["OAUTHLIB_RELAX_TOKEN_SCOPE"] = "1"
from oauthlib.oauth2 import LegacyApplicationClient
from requests_oauthlib import OAuth2Session
url, password = sys.argv[1:]
session = OAuth2Session(client=LegacyApplicationClient(client_id="latchkey"))
session.trust_env = False
session.fetch_token(url + "/token", username="alice", password=password, include_client_id=True)
session.refresh_token(url + "/token", client_id="latchkey")
assert session.get(url + "/users/me").json()["username"] == "alice"
`,
  authlib: `
import sys
from authlib.integrations.requests_client import OAuth2Session
url, password = sys.argv[1:]
session = OAuth2Session("latchkey", token_endpoint_auth_method="none")
session.trust_env = False
session.fetch_token(url + "/token", username="alice", password=password, grant_type="password")
session.refresh_token(url + "/token")
assert session.get(url + "/users/me").json()["username"] == "alice"
`
}

for (const [name, program] of Object.entries(PROGRAMS)) {
  t.test(`Python: ${name}`, { skip: skipWithoutPython(name) }, async t => {
    const { issuer } = await serve(t)
    const child = spawn(PYTHON, ['-c', program, issuer, PASSWORD], { stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.on('data', chunk => { errors += chunk })
    const status = await new Promise(resolve => child.on('close', resolve))
    t.equal(status, 0, errors.slice(-400))
  })
}
