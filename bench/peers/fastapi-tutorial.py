# The server of the FastAPI tutorial: `async def`, python-jose, passlib, and one uvicorn process (with uvloop and
# httptools if they are installed). It checks neither issuer nor audience, hashes passwords on the event loop, and
# responds 401 if a scope is missing.
#
# Based on https://fastapi.tiangolo.com/tutorial/security/oauth2-jwt/ and
# https://fastapi.tiangolo.com/advanced/security/oauth2-scopes/, in the versions for Debian 12's packages:
# python3-fastapi, -uvicorn, -jose, -passlib, -bcrypt and -multipart.

import json
import secrets
import socket
import sys
import threading
import time
from datetime import datetime, timedelta
from urllib.parse import urlencode

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm, SecurityScopes
from jose import JWTError, jwt
from passlib.context import CryptContext
from pydantic import BaseModel, ValidationError

SECRET_KEY = secrets.token_hex(32)
ALGORITHM = "HS256"
PASSWORD = "marble otter sings at noon"

pwd_context = CryptContext(schemes=["bcrypt"], deprecated="auto", bcrypt__rounds=10)
users_db = {"johndoe": {"username": "johndoe", "disabled": False, "hashed_password": pwd_context.hash(PASSWORD)}}


class TokenData(BaseModel):
    username: str
    scopes: list[str] = []


class User(BaseModel):
    username: str
    disabled: bool
    hashed_password: str


class Item(BaseModel):
    id: int
    name: str
    price: float


oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token", scopes={"items:read": "Read items."})
app = FastAPI()


def create_access_token(data: dict, expires_delta: timedelta, key: str = SECRET_KEY):
    return jwt.encode({**data, "exp": datetime.utcnow() + expires_delta}, key, algorithm=ALGORITHM)


async def get_current_user(security_scopes: SecurityScopes, token: str = Depends(oauth2_scheme)):
    headers = {"WWW-Authenticate": f'Bearer scope="{security_scopes.scope_str}"'}
    try:
        payload = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM])
        token_data = TokenData(username=payload.get("sub"), scopes=payload.get("scope", "").split(" "))
    except (JWTError, ValidationError):
        raise HTTPException(401, "Could not validate credentials", headers)
    if token_data.username not in users_db:
        raise HTTPException(401, "Could not validate credentials", headers)
    for scope in security_scopes.scopes:
        if scope not in token_data.scopes:
            raise HTTPException(401, "Not enough permissions", headers)
    return User(**users_db[token_data.username])


async def get_current_active_user(current_user: User = Depends(get_current_user)):
    if current_user.disabled:
        raise HTTPException(400, "Inactive user")
    return current_user


@app.post("/token")
async def login_for_access_token(form_data: OAuth2PasswordRequestForm = Depends()):
    user = users_db.get(form_data.username)
    if user is None or not pwd_context.verify(form_data.password, user["hashed_password"]):
        raise HTTPException(400, "Incorrect username or password")
    data = {"sub": form_data.username, "scope": " ".join(form_data.scopes)}
    return {"access_token": create_access_token(data, timedelta(minutes=30)), "token_type": "bearer"}


@app.get("/items/1", response_model=Item)
async def read_item(current_user: User = Security(get_current_active_user, scopes=["items:read"])):
    return {"id": 1, "name": "Lamp", "price": 12.5}


def bearer(minutes: int, key: str = SECRET_KEY):
    token = create_access_token({"sub": "johndoe", "scope": "items:read"}, timedelta(minutes=minutes), key)
    return {"authorization": f"Bearer {token}"}


def announce(server: uvicorn.Server, port: int):
    while not server.started:
        time.sleep(0.01)
    form = urlencode({"username": "johndoe", "password": PASSWORD, "scope": "items:read"})
    print(json.dumps({
        "url": f"http://127.0.0.1:{port}",
        "headers": {"good": bearer(30), "expired": bearer(-30), "forged": bearer(30, secrets.token_hex(32))},
        "login": {"method": "POST", "path": "/token", "headers": {"content-type": "application/x-www-form-urlencoded"}, "body": form},
    }), flush=True)
    sys.stdin.read()
    server.should_exit = True


listener = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
threading.Thread(target=announce, args=(server, listener.getsockname()[1]), daemon=True).start()
server.run(sockets=[listener])
