// Generated from openapi.json by npm run openapi.

export interface paths {
    "/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the audit trail, newest first
         * @description Who did what to whom, from where, and whether it succeeded. Returns one page at a time. The option `auditRetention` sets how long entries are kept.
         */
        get: operations["readAuditTrail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/clients": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the machine clients, oldest first
         * @description Returns one page at a time, without the secrets.
         */
        get: operations["listClients"];
        put?: never;
        /**
         * Register a client and show its secret once
         * @description Only the hash of the secret is stored. A public client has no secret. It sends only its `client_id`, and can only log users in and refresh their sessions. Callers can grant only built-in scopes that they have.
         */
        post: operations["addClient"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/clients/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a machine client
         * @description Returns the client without its secret.
         */
        get: operations["readClient"];
        put?: never;
        post?: never;
        /**
         * Delete a machine client with all its sessions and tokens
         * @description The tokens are invalid at once. The id is never used again.
         */
        delete: operations["removeClient"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/clients/{id}/secret": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Replace the secret of a machine client and show the new secret once
         * @description For a secret that has leaked. The old secret and the access tokens issued before are invalid at once, so the two secrets are never valid together. Sessions continue.
         */
        post: operations["rotateClientSecret"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Check whether the process responds
         * @description For a supervisor that restarts a process that does not respond.
         */
        get: operations["checkLive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Check whether logins work and this process knows every revocation in the database
         * @description For a load balancer. Responds 503 while the database accepts no writes or its revocations cannot be read. Both responses report the age of the revocation index: in `revocation_index_age`, or in the text of `detail`.
         */
        get: operations["checkReady"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/introspect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Check whether a token of any kind is live, and read what it contains
         * @description RFC 7662. A machine client can introspect its own tokens, and a holder of `tokens:introspect` all tokens. For any other token, and for one that is not live, the response contains only `active: false`.
         */
        post: operations["introspectToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your personal access tokens, newest first
         * @description The list does not contain the values, because Latchkey stores only their hashes.
         */
        get: operations["listOwnKeys"];
        put?: never;
        /**
         * Create a personal access token for one of your programs
         * @description Only this response contains its value. Send it as `Authorization: Bearer lkp_...` to routes that accept personal access tokens. At each request it has those of its `scopes` that you still have. You must have logged in within the last 15 minutes.
         */
        post: operations["createKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke one of your personal access tokens
         * @description Latchkey responds once the revocation is durable and in force.
         */
        delete: operations["revokeOwnKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in from a browser and receive the tokens in HttpOnly cookies
         * @description Sets the cookies `access_token` and `refresh_token`. They are HttpOnly and, unless configured otherwise, `Secure` with the prefix `__Host-`. If the browser already had a session, that session ends.
         */
        post: operations["logIn"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End this session, all other sessions, or all sessions, and clear the cookies
         * @description Accepts an expired access token if the request carries the refresh cookie. The request can be repeated. `others` leaves this session and its cookies unchanged.
         */
        post: operations["logOut"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the metrics in the text format of Prometheus
         * @description Exists only if the option `metrics` is on.
         */
        get: operations["readMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Exchange a refresh token from the cookie or the body for its successor
         * @description If the body has no token, the route reads the cookie and sets new cookies. Parallel and repeated requests within the grace period receive the same successor. Any other use of an old token ends its session.
         */
        post: operations["refresh"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/register": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create an account
         * @description Exists only if the option `registration` is on. The request cannot ask for scopes. The account receives the scopes that the option lists. By default it lists none.
         */
        post: operations["register"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/revocations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow revocations as they happen, or read them page by page
         * @description If the request accepts `text/event-stream`, the response is a stream of server-sent events that ends after at most five minutes: reconnect with `Last-Event-ID` to continue. Otherwise the response is a page, which you can poll with `If-None-Match`. Revocations newer than the `as_of` of the latest response are not yet known to the receiver.
         */
        get: operations["followRevocations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Revoke an access token, a personal access token, or a refresh token with its whole session
         * @description RFC 7009. The response is sent once the revocation is durable and in force. It is the same for unknown, expired and revoked tokens. To revoke a token of a machine client, that client must authenticate.
         */
        post: operations["revokeToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your live sessions, most recently used first
         * @description Shows when and from where each session started. `current` marks the session of this request.
         */
        get: operations["listOwnSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * End one of your sessions
         * @description The access tokens of the session are invalid at once.
         */
        delete: operations["endOwnSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/status-lists/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a signed list of ended sessions, for verifiers of access tokens
         * @description A Status List Token (draft-ietf-oauth-status-list-21). It has one bit for each session, which is 1 once the session has ended. The claim `status` of an access token names its list and its bit. Exists only if the option `statusList` is on.
         */
        get: operations["readStatusList"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/token": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get an access token with a password, a refresh token, or the credentials of a machine client
         * @description RFC 6749. Takes a form, or the same members as JSON. The token carries all granted scopes, or the subset that the request asks for. `client_credentials` returns no refresh token. Parallel and repeated exchanges of a refresh token within the grace period receive the same successor.
         */
        post: operations["createToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a user
         * @description Returns the account as it is stored, without its password hash.
         */
        get: operations["readUser"];
        put?: never;
        post?: never;
        /**
         * Delete a user with all sessions and tokens
         * @description The last enabled user with `users:write` cannot be deleted.
         */
        delete: operations["removeUser"];
        options?: never;
        head?: never;
        /**
         * Rename the account, replace its scopes, disable or enable it, or set its password
         * @description Makes either all changes in the request or none. Removing a scope revokes the access tokens of the user. A new password or `disabled` also ends every session. A new username ends no session. Callers can grant only built-in scopes that they have, and cannot change a user who has other built-in scopes.
         */
        patch: operations["changeUser"];
        trace?: never;
    };
    "/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the users by name
         * @description Returns one page at a time. `search` matches the beginning of the username.
         */
        get: operations["listUsers"];
        put?: never;
        /**
         * Add a user
         * @description Callers can grant only built-in scopes that they have.
         */
        post: operations["addUser"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read your own account
         * @description Returns the current account, including scopes that were granted after the token was issued.
         */
        get: operations["readOwnUser"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/me/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Change your own password and end all your other sessions
         * @description Requires the current password. The session of this request continues.
         */
        put: operations["changeOwnPassword"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{id}/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the live sessions of a user, most recently used first
         * @description Shows what the user sees at `GET /sessions`.
         */
        get: operations["listSessionsOfUser"];
        put?: never;
        post?: never;
        /**
         * Log a user out everywhere: end every session and every access token
         * @description The response is sent once this is durable and in force.
         */
        delete: operations["logOutUser"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{id}/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the personal access tokens of a user, newest first
         * @description Returns what the user gets from `GET /keys`.
         */
        get: operations["listKeysOfUser"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{id}/keys/{key_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke a personal access token of a user
         * @description Latchkey responds once the revocation is durable and in force. Callers cannot revoke the tokens of a user who has built-in scopes that they lack.
         */
        delete: operations["revokeKeyOfUser"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Check the token of a user or a machine client for a reverse proxy
         * @description For `auth_request` of nginx, `forward_auth` of Caddy and ForwardAuth of Traefik. Exists only if the option `forwardAuth` is on. If the token is in the cookie, the proxy must name the method of the original request in `X-Forwarded-Method` or `X-Original-Method`. Without these headers, requests from other sites are rejected.
         */
        get: operations["verifyRequest"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/.well-known/jwks.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the public keys that verify access tokens
         * @description RFC 7517. Clients can cache the keys for as long as `Cache-Control` allows, because each key is published that long before it signs.
         */
        get: operations["readKeys"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/.well-known/oauth-authorization-server": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the endpoints of this server and what they support
         * @description RFC 8414. Also served at the root of the host, at the well-known path followed by the path of the issuer.
         */
        get: operations["readServerMetadata"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The account of a user, as the user sees it. */
        Account: {
            id: string;
            username: string;
            /** @description All granted scopes, including those of the roles. A token can carry fewer. */
            scopes: string[];
            /** @description The roles that the user holds. */
            roles: string[];
        };
        /** @description A registered client, with its secret if it has one. */
        AddedClient: {
            /** @description The `client_id`, which Latchkey generates. */
            id: string;
            name: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials, or password if the client is public. */
            grants: ("client_credentials" | "password")[];
            /** @description Whether the client has no secret (RFC 6749 section 2.1), for example a page or a mobile app. It can use only the grant password. */
            public: boolean;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            secret_changed_at: string;
            /** @description The `client_secret`. It is shown only once, because only its hash is stored. Absent if the client is public. */
            secret?: string;
        };
        /** @description An entry of the audit trail. */
        AuditEntry: {
            /**
             * Format: int64
             * @description The position in the trail. A later entry has a greater id.
             */
            id: number;
            /** Format: date-time */
            at: string;
            type: string;
            /** @enum {unknown} */
            outcome: "success" | "failure";
            actor: {
                kind: string;
                id: string | null;
                address: string | null;
            };
            subject: string | null;
            session_id: string | null;
            client_id: string | null;
            details: {
                [key: string]: unknown;
            };
        };
        /** @description A page of the audit trail, newest first. */
        AuditPage: {
            events: components["schemas"]["AuditEntry"][];
            next: string | null;
        };
        /** @description A machine client. */
        Client: {
            /** @description The `client_id`, which Latchkey generates. */
            id: string;
            name: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials, or password if the client is public. */
            grants: ("client_credentials" | "password")[];
            /** @description Whether the client has no secret (RFC 6749 section 2.1), for example a page or a mobile app. It can use only the grant password. */
            public: boolean;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            secret_changed_at: string;
        };
        /** @description A page of clients, oldest first. */
        ClientPage: {
            clients: components["schemas"]["Client"][];
            next: string | null;
        };
        /** @description A machine client with its secret. */
        ClientWithSecret: {
            /** @description The `client_id`, which Latchkey generates. */
            id: string;
            name: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials, or password if the client is public. */
            grants: ("client_credentials" | "password")[];
            /** @description Whether the client has no secret (RFC 6749 section 2.1), for example a page or a mobile app. It can use only the grant password. */
            public: boolean;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            secret_changed_at: string;
            /** @description The `client_secret`. It is shown only once, because only its hash is stored. */
            secret: string;
        };
        /** @description A new personal access token, with its value. */
        CreatedKey: {
            /** Format: uuid */
            id: string;
            name: string;
            scopes: string[];
            /** Format: date-time */
            created_at: string;
            /** @description `null`: never. */
            expires_at: string | null;
            /** @description Precise to a minute. `null`: never used. */
            last_used_at: string | null;
            /** @description Only this response contains it. Begins with `lkp_`. */
            value: string;
        };
        /** @description Done, or there was nothing to do. */
        Done: Record<string, never>;
        /** @description The process responds. */
        Health: {
            /** @enum {string} */
            status: "ok";
        };
        /** @description What the token contains, if it is live. */
        IntrospectResponse: {
            active: boolean;
            /** @description Scopes, separated by spaces. */
            scope?: string;
            client_id?: string;
            /** @description The name of the user as it is now. Absent for a client. */
            username?: string;
            /** @enum {string} */
            token_type?: "bearer";
            /**
             * Format: int64
             * @description Seconds since the epoch.
             */
            exp?: number;
            /**
             * Format: int64
             * @description Seconds since the epoch.
             */
            iat?: number;
            sub?: string;
            aud?: string | string[];
            iss?: string;
            jti?: string;
            sid?: string;
            /**
             * Format: int64
             * @description How often the session had been refreshed, plus 1.
             */
            gen?: number;
            /**
             * Format: int64
             * @description Seconds since the epoch: when the user last authenticated (RFC 9470 section 6.2).
             */
            auth_time?: number;
            /** @description How the user authenticated (RFC 8176). */
            amr?: string[];
        };
        /** @description A public key. */
        Jwk: {
            kty: string;
            kid: string;
            alg: string;
            /** @enum {string} */
            use: "sig";
            crv?: string;
            x?: string;
            y?: string;
            n?: string;
            e?: string;
        };
        /** @description The public keys (RFC 7517 section 5). */
        Jwks: {
            keys: components["schemas"]["Jwk"][];
        };
        /** @description A personal access token, without its value. */
        Key: {
            /** Format: uuid */
            id: string;
            name: string;
            scopes: string[];
            /** Format: date-time */
            created_at: string;
            /** @description `null`: never. */
            expires_at: string | null;
            /** @description Precise to a minute. `null`: never used. */
            last_used_at: string | null;
        };
        /** @description Personal access tokens, newest first. */
        KeyList: {
            keys: components["schemas"]["Key"][];
        };
        /** @description A new personal access token. */
        KeyRequest: {
            /** @description Its name, for example the program that uses it. */
            name: string;
            /** @description Its scopes. You and this access token must have each of them. */
            scopes: string[];
            /**
             * Format: int32
             * @description The lifetime in seconds, at most ten years. Default: it does not expire.
             */
            expires_in?: number;
        };
        LoginRequest: {
            /** @description The username; letter case does not matter. */
            username: string;
            /** Format: password */
            password: string;
            /** @description Scopes, separated by spaces. */
            scope?: string;
        };
        /** @description The user who logged in. The tokens are in the cookies. */
        LoginResponse: {
            user: components["schemas"]["Account"];
            /** @description Scopes, separated by spaces. */
            scope: string;
            /**
             * Format: int64
             * @description The lifetime of the access token, in seconds.
             */
            expires_in: number;
        };
        LogoutRequest: {
            /**
             * @description Which sessions end: this one, all others, or all.
             * @enum {unknown}
             */
            target?: "this" | "others" | "all";
        };
        NewClient: {
            /** @description A name for people to read, without invisible characters. */
            name: string;
            /** @description Scopes, separated by spaces. */
            scope?: string;
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials, or password if the client is public. */
            grants?: ("client_credentials" | "password")[];
            /** @description Whether the client has no secret (RFC 6749 section 2.1), for example a page or a mobile app. It can use only the grant password. */
            public?: boolean;
        };
        NewUser: {
            /** @description Letters and digits of any language, ASCII punctuation, and single spaces between words; letter case does not matter. */
            username: string;
            /** Format: password */
            password: string;
            /** @description All scopes of the user, besides those of the roles. */
            scopes?: string[];
            /** @description All roles of the user. */
            roles?: string[];
        };
        /** @description An OAuth error (RFC 6749 section 5.2). */
        OAuthError: {
            error: string;
            error_description: string;
        };
        PasswordChange: {
            /** Format: password */
            current_password: string;
            /** Format: password */
            new_password: string;
        };
        /** @description A problem document (RFC 9457). */
        Problem: {
            type: string;
            title: string;
            /** Format: int32 */
            status: number;
            detail: string;
            code: string;
        };
        /** @description The process can serve requests. */
        Readiness: {
            /** @enum {string} */
            status: "ok";
            /** @description Seconds since the revocation index of this process was last known to be complete. 0 with SQLite, at most the bound with PostgreSQL. */
            revocation_index_age: number;
        };
        RefreshRequest: {
            refresh_token?: string;
            /** @description Scopes, separated by spaces. */
            scope?: string;
        };
        RegisterRequest: {
            /** @description Letters and digits of any language, ASCII punctuation, and single spaces between words; letter case does not matter. */
            username: string;
            /** Format: password */
            password: string;
        };
        /** @description Rules in the order in which they were created. A receiver only ever adds rules. */
        RevocationPage: {
            /** @description The `after` of the next request. */
            cursor: string;
            /** @description Whether there are more rules. The receiver has all rules only if this is false. */
            more: boolean;
            /**
             * Format: int64
             * @description Milliseconds since the epoch. The service has deleted the rules that expire before this time, so reject every token that was issued before it and whose `exp` is at or before it, whatever your clock shows. A receiver may delete these rules too, and no others.
             */
            horizon: number;
            /** @description The `kid` of each key that currently verifies tokens. */
            keys: string[];
            rules: components["schemas"]["RevocationRule"][];
            roles: components["schemas"]["RoleRule"][];
        };
        /** @description A rule that revokes tokens. */
        RevocationRule: {
            /**
             * @description The claim that `value` is compared with: `jti`, `sid`, `sub` or `client_id`.
             * @enum {unknown}
             */
            kind: "token" | "session" | "user" | "client";
            value: string;
            /**
             * Format: int64
             * @description Milliseconds since the epoch. Only tokens issued earlier are revoked. If absent, all are.
             */
            issued_before?: number;
            /**
             * Format: int64
             * @description Milliseconds since the epoch. By then, every token that the rule revokes has expired.
             */
            expires_at: number;
            /** @description Whether the session ended because two parties used the same refresh token. */
            stolen?: boolean;
        };
        /** @description A rule that revokes the tokens whose claim `roles` contains `value`. */
        RoleRule: {
            value: string;
            /**
             * Format: int64
             * @description Milliseconds since the epoch. Only tokens issued earlier are revoked. If absent, all are.
             */
            issued_before?: number;
            /**
             * Format: int64
             * @description Milliseconds since the epoch. By then, every token that the rule revokes has expired.
             */
            expires_at: number;
        };
        /** @description The endpoints of this server and what they support. */
        ServerMetadata: {
            issuer: string;
            token_endpoint: string;
            jwks_uri: string;
            scopes_supported: string[];
            /** @description Empty: there is no authorization endpoint. */
            response_types_supported: string[];
            grant_types_supported: string[];
            token_endpoint_auth_methods_supported: string[];
            revocation_endpoint: string;
            revocation_endpoint_auth_methods_supported: string[];
            introspection_endpoint: string;
            introspection_endpoint_auth_methods_supported: string[];
            /** @description An extension: the URL at which verifiers follow revocations. */
            revocation_feed_endpoint: string;
            service_documentation?: string;
        };
        /** @description A live session. */
        Session: {
            /** Format: uuid */
            id: string;
            client_id: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            last_used_at: string;
            /** Format: date-time */
            expires_at: string;
            user_agent: string | null;
            /** @description The browser and its system or device, or the program, according to the user agent. */
            device: string | null;
            address: string | null;
            /** @description Whether this request belongs to the session. */
            current: boolean;
        };
        /** @description Live sessions, most recently used first. */
        SessionList: {
            sessions: components["schemas"]["Session"][];
        };
        TokenReference: {
            token: string;
            token_type_hint?: string;
            client_id?: string;
            /** Format: password */
            client_secret?: string;
        };
        TokenRequest: {
            /** @description password, refresh_token or client_credentials. With a username it can be left out, as FastAPI clients do. */
            grant_type?: string;
            /** @description The username; letter case does not matter. */
            username?: string;
            /** Format: password */
            password?: string;
            refresh_token?: string;
            /** @description Scopes, separated by spaces. */
            scope?: string;
            client_id?: string;
            /** Format: password */
            client_secret?: string;
        };
        /** @description Tokens (RFC 6749 section 5.1). */
        TokenResponse: {
            access_token: string;
            /** @enum {string} */
            token_type: "bearer";
            /**
             * Format: int64
             * @description The lifetime of the access token, in seconds.
             */
            expires_in: number;
            /** @description Absent for client_credentials (RFC 6749 section 4.4.3). */
            refresh_token?: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
        };
        /** @description A user, as an administrator sees it. */
        User: {
            id: string;
            username: string;
            /** @description The scopes that are granted to the account itself, without those of its roles. */
            scopes: string[];
            /** @description The roles that the user holds. A role that the service no longer has grants nothing. */
            roles: string[];
            /** @description Whether the user is prevented from logging in. */
            disabled: boolean;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            password_changed_at: string;
        };
        /** @description A page of users, by name. */
        UserPage: {
            users: components["schemas"]["User"][];
            next: string | null;
        };
        UserPatch: {
            /** @description Letters and digits of any language, ASCII punctuation, and single spaces between words; letter case does not matter. */
            username?: string;
            /** @description All scopes of the user, besides those of the roles. */
            scopes?: string[];
            /** @description All roles of the user. */
            roles?: string[];
            /** @description Whether to prevent the user from logging in. */
            disabled?: boolean;
            /** Format: password */
            password?: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    readAuditTrail: {
        parameters: {
            query?: {
                type?: "login" | "login_failed" | "refresh" | "token_reissued" | "refresh_token_reuse" | "token_revoked" | "tokens_revoked" | "session_ended" | "sessions_ended" | "user_added" | "users_exported" | "user_removed" | "user_disabled" | "user_enabled" | "user_renamed" | "scopes_changed" | "roles_changed" | "role_reduced" | "password_changed" | "personal_access_token_created" | "personal_access_token_revoked" | "key_added" | "key_updated" | "key_activated" | "key_revoked" | "keys_resealed" | "attempts_blocked" | "client_added" | "client_removed" | "client_secret_rotated" | "client_authentication_failed" | "client_token" | "password_change_failed";
                outcome?: "success" | "failure";
                /** @description The id of the user or client that acted. */
                actor?: string;
                /** @description The id of the affected user, client or key. */
                subject?: string;
                since?: string;
                until?: string;
                /** @description The `next` of the previous page. */
                cursor?: string;
                /** @description The maximum number of entries, from 1 to 1000. Default 100. */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the audit trail, newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "events": [
                     *         {
                     *           "id": 42,
                     *           "at": "2026-11-02T08:15:30.000Z",
                     *           "type": "login",
                     *           "outcome": "success",
                     *           "actor": {
                     *             "kind": "user",
                     *             "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *             "address": "203.0.113.7"
                     *           },
                     *           "subject": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *           "session_id": "0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32",
                     *           "client_id": "latchkey",
                     *           "details": {}
                     *         }
                     *       ],
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["AuditPage"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listClients: {
        parameters: {
            query?: {
                /** @description The `client_id`, which Latchkey generates. */
                cursor?: string;
                /** @description The maximum number of entries, from 1 to 1000. Default 100. */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of clients, oldest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "clients": [
                     *         {
                     *           "id": "lkc_0199c2b17d4a7e52a6c80d1f3b9e5a74",
                     *           "name": "billing",
                     *           "scope": "tokens:introspect",
                     *           "grants": [
                     *             "client_credentials"
                     *           ],
                     *           "public": false,
                     *           "created_at": "2026-10-01T09:00:00.000Z",
                     *           "secret_changed_at": "2026-10-01T09:00:00.000Z"
                     *         }
                     *       ],
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["ClientPage"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    addClient: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "billing",
                 *       "scope": "tokens:introspect"
                 *     }
                 */
                "application/json": components["schemas"]["NewClient"];
            };
        };
        responses: {
            /** @description A registered client, with its secret if it has one. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "lkc_0199c2b17d4a7e52a6c80d1f3b9e5a74",
                     *       "name": "billing",
                     *       "scope": "tokens:introspect",
                     *       "grants": [
                     *         "client_credentials"
                     *       ],
                     *       "public": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "secret_changed_at": "2026-10-01T09:00:00.000Z",
                     *       "secret": "lks_2vJ0nQ8bR5tXwYz1aC3dE4fG6hI7jK9lM0oP2qS4uTU"
                     *     }
                     */
                    "application/json": components["schemas"]["AddedClient"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readClient: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The `client_id`, which Latchkey generates. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A machine client. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "lkc_0199c2b17d4a7e52a6c80d1f3b9e5a74",
                     *       "name": "billing",
                     *       "scope": "tokens:introspect",
                     *       "grants": [
                     *         "client_credentials"
                     *       ],
                     *       "public": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "secret_changed_at": "2026-10-01T09:00:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Client"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    removeClient: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The `client_id`, which Latchkey generates. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rotateClientSecret: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The `client_id`, which Latchkey generates. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A machine client with its secret. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "lkc_0199c2b17d4a7e52a6c80d1f3b9e5a74",
                     *       "name": "billing",
                     *       "scope": "tokens:introspect",
                     *       "grants": [
                     *         "client_credentials"
                     *       ],
                     *       "public": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "secret_changed_at": "2026-10-01T09:00:00.000Z",
                     *       "secret": "lks_2vJ0nQ8bR5tXwYz1aC3dE4fG6hI7jK9lM0oP2qS4uTU"
                     *     }
                     */
                    "application/json": components["schemas"]["ClientWithSecret"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkLive: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process responds. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `store_unavailable`: The database is not available: try again in a moment. */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkReady: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process can serve requests. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "revocation_index_age": 0.123
                     *     }
                     */
                    "application/json": components["schemas"]["Readiness"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    introspectToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "application/json": components["schemas"]["TokenReference"];
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "application/x-www-form-urlencoded": components["schemas"]["TokenReference"];
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "multipart/form-data": components["schemas"]["TokenReference"];
            };
        };
        responses: {
            /** @description What the token contains, if it is live. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IntrospectResponse"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again (session_stolen).
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `invalid_client`: The client is unknown, or its secret is wrong or missing. Send the id and secret of a registered client, or only the id if the client is public. Your own app can send client_id=latchkey without a secret.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json, application/x-www-form-urlencoded or multipart/form-data. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `too_many_requests`: Too many attempts from this address: wait, then try again.
             *
             *     `too_many_failures`: Too many attempts have failed: wait, then try again.
             */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
        };
    };
    listOwnKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Personal access tokens, newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "keys": [
                     *         {
                     *           "id": "0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32",
                     *           "name": "backup script",
                     *           "scopes": [
                     *             "items:read",
                     *             "users:read"
                     *           ],
                     *           "created_at": "2026-11-02T08:15:30.000Z",
                     *           "expires_at": "2027-01-31T08:15:30.000Z",
                     *           "last_used_at": null
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["KeyList"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `user_required`: The access token belongs to a machine client: use the token of a user. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description A new personal access token. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "backup script",
                 *       "scopes": [
                 *         "items:read",
                 *         "users:read"
                 *       ],
                 *       "expires_in": 7776000
                 *     }
                 */
                "application/json": components["schemas"]["KeyRequest"];
            };
        };
        responses: {
            /** @description A new personal access token, with its value. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32",
                     *       "name": "backup script",
                     *       "scopes": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "created_at": "2026-11-02T08:15:30.000Z",
                     *       "expires_at": "2027-01-31T08:15:30.000Z",
                     *       "last_used_at": null,
                     *       "value": "lkp_0123456789abcdefghijklmnopqrstuvwxyz2UP73a"
                     *     }
                     */
                    "application/json": components["schemas"]["CreatedKey"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             *
             *     `insufficient_user_authentication`: This route requires a more recent login: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `user_required`: The access token belongs to a machine client: use the token of a user.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeOwnKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `user_required`: The access token belongs to a machine client: use the token of a user.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    logIn: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "username": "alice",
                 *       "password": "choose your own passphrase"
                 *     }
                 */
                "application/json": components["schemas"]["LoginRequest"];
            };
        };
        responses: {
            /** @description The user who logged in. The tokens are in the cookies. */
            200: {
                headers: {
                    /** @description The cookies of the tokens. No script can read them. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user": {
                     *         "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *         "username": "alice",
                     *         "scopes": [
                     *           "items:read",
                     *           "users:read"
                     *         ],
                     *         "roles": []
                     *       },
                     *       "scope": "items:read users:read",
                     *       "expires_in": 900
                     *     }
                     */
                    "application/json": components["schemas"]["LoginResponse"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_credentials`: The username or password is incorrect. */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `cross_site_request`: A request from another site cannot use the cookies of this site. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `too_many_requests`: Too many attempts from this address: wait, then try again.
             *
             *     `too_many_failures`: Too many attempts have failed: wait, then try again.
             */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `overloaded`: Too many logins are waiting: try again in a moment.
             *
             *     `account_changed`: The account was changed during this request: try again.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    logOut: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "target": "this"
                 *     }
                 */
                "application/json": components["schemas"]["LogoutRequest"];
            };
        };
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    /** @description The cookies of the tokens. No script can read them. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `user_required`: The access token belongs to a machine client: use the token of a user.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Metrics in the text format of Prometheus. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example latchkey_revocation_rules 0 */
                    "text/plain": string;
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    refresh: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefreshRequest"];
            };
        };
        responses: {
            /** @description The new tokens, or the user if the new tokens are in cookies. */
            200: {
                headers: {
                    /** @description The cookies of the tokens. No script can read them. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenResponse"] | components["schemas"]["LoginResponse"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_refresh_token`: The refresh token is invalid, expired or revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `cross_site_request`: A request from another site cannot use the cookies of this site. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `store_unavailable`: The database is not available: try again in a moment. */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    register: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "username": "alice",
                 *       "password": "choose your own passphrase"
                 *     }
                 */
                "application/json": components["schemas"]["RegisterRequest"];
            };
        };
        responses: {
            /** @description The account of a user, as the user sees it. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *       "username": "alice",
                     *       "scopes": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "roles": []
                     *     }
                     */
                    "application/json": components["schemas"]["Account"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `password_rejected`: The new password does not meet the password policy.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `username_taken`: This username is taken. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `overloaded`: Too many logins are waiting: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    followRevocations: {
        parameters: {
            query?: {
                /** @description The `cursor` of the previous page. A cursor that this database did not issue starts at the beginning. An event stream takes `Last-Event-ID` instead. */
                after?: string;
                /** @description The maximum number of rules in a page, from 1 to 1000. Default 1000. */
                limit?: string;
            };
            header?: {
                /** @description For an event stream: the `id` of the last event received. */
                "last-event-id"?: string;
                /** @description For a page: the `ETag` of the previous response. */
                "if-none-match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Rules in the order in which they were created. A receiver only ever adds rules. */
            200: {
                headers: {
                    /** @description Milliseconds from the arrival of the request to the moment up to which the response includes every revocation. It can be negative. */
                    "revocation-as-of"?: number;
                    /** @description The current time of the service, in milliseconds since the epoch. */
                    "revocation-time"?: number;
                    /** @description Changes whenever the content changes. Send it in `If-None-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RevocationPage"];
                    "text/event-stream": string;
                };
            };
            /** @description Nothing has changed. */
            304: {
                headers: {
                    /** @description Milliseconds from the arrival of the request to the moment up to which the response includes every revocation. It can be negative. */
                    "revocation-as-of"?: number;
                    /** @description The current time of the service, in milliseconds since the epoch. */
                    "revocation-time"?: number;
                    /** @description Changes whenever the content changes. Send it in `If-None-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `feed_unavailable`: Too many clients are connected to the revocation feed: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "application/json": components["schemas"]["TokenReference"];
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "application/x-www-form-urlencoded": components["schemas"]["TokenReference"];
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "multipart/form-data": components["schemas"]["TokenReference"];
            };
        };
        responses: {
            /** @description Done, or there was nothing to do. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example {} */
                    "application/json": components["schemas"]["Done"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `token_of_another_client`: The token was issued to another client: only that client can revoke it.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `invalid_client`: The client is unknown, or its secret is wrong or missing. Send the id and secret of a registered client, or only the id if the client is public. Your own app can send client_id=latchkey without a secret. */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json, application/x-www-form-urlencoded or multipart/form-data. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `too_many_failures`: Too many attempts have failed: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `store_unavailable`: The database is not available: try again in a moment. */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
        };
    };
    listOwnSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Live sessions, most recently used first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "sessions": [
                     *         {
                     *           "id": "0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32",
                     *           "client_id": "latchkey",
                     *           "scope": "items:read users:read",
                     *           "created_at": "2026-10-01T09:00:00.000Z",
                     *           "last_used_at": "2026-11-02T08:15:30.000Z",
                     *           "expires_at": "2027-01-31T08:15:30.000Z",
                     *           "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
                     *           "device": "Firefox on Linux",
                     *           "address": "203.0.113.7",
                     *           "current": true
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["SessionList"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `user_required`: The access token belongs to a machine client: use the token of a user. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    endOwnSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `user_required`: The access token belongs to a machine client: use the token of a user.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readStatusList: {
        parameters: {
            query?: {
                /** @description Asks for the list at another time. Such lists are not kept, so the response is 501. */
                time?: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The list: a JWT with the `typ` `statuslist+jwt`, signed with a key of the JWKS. */
            200: {
                headers: {
                    /** @description Changes whenever the content changes. Send it in `If-None-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    /** @example eyJhbGciOiJFUzI1NiIsInR5cCI6InN0YXR1c2xpc3Qrand0Iiwia2lkIjoiMSJ9.eyJ0dGwiOjMwfQ.c2lnbmF0dXJl */
                    "application/statuslist+jwt": string;
                };
            };
            /** @description The client already has the current list (`If-None-Match`). */
            304: {
                headers: {
                    /** @description Changes whenever the content changes. Send it in `If-None-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `history_not_kept`: Only the current version of a status list is available: leave out 'time'. */
            501: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TokenRequest"];
                "application/x-www-form-urlencoded": components["schemas"]["TokenRequest"];
                "multipart/form-data": components["schemas"]["TokenRequest"];
            };
        };
        responses: {
            /** @description Tokens (RFC 6749 section 5.1). */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
                     *       "token_type": "bearer",
                     *       "expires_in": 900,
                     *       "refresh_token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                     *       "scope": "items:read users:read"
                     *     }
                     */
                    "application/json": components["schemas"]["TokenResponse"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             *
             *     `unsupported_grant_type`: This grant_type is not supported.
             *
             *     `unauthorized_client`: The client is not allowed to use this grant_type.
             *
             *     `invalid_credentials`: The username or password is incorrect.
             *
             *     `invalid_refresh_token`: The refresh token is invalid, expired or revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again (session_stolen).
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `invalid_client`: The client is unknown, or its secret is wrong or missing. Send the id and secret of a registered client, or only the id if the client is public. Your own app can send client_id=latchkey without a secret. */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json, application/x-www-form-urlencoded or multipart/form-data. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `too_many_requests`: Too many attempts from this address: wait, then try again.
             *
             *     `too_many_failures`: Too many attempts have failed: wait, then try again.
             */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `overloaded`: Too many logins are waiting: try again in a moment.
             *
             *     `account_changed`: The account was changed during this request: try again.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
        };
    };
    readUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A user, as an administrator sees it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *       "username": "alice",
                     *       "scopes": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "roles": [],
                     *       "disabled": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "password_changed_at": "2026-10-01T09:00:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    removeUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `last_administrator`: This is the last enabled user with users:write. Grant that scope to another user first. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    changeUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "scopes": [
                 *         "items:read"
                 *       ],
                 *       "disabled": false
                 *     }
                 */
                "application/json": components["schemas"]["UserPatch"];
            };
        };
        responses: {
            /** @description A user, as an administrator sees it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *       "username": "alice",
                     *       "scopes": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "roles": [],
                     *       "disabled": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "password_changed_at": "2026-10-01T09:00:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             *
             *     `password_rejected`: The new password does not meet the password policy.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `username_taken`: This username is taken.
             *
             *     `last_administrator`: This is the last enabled user with users:write. Grant that scope to another user first.
             */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `overloaded`: Too many logins are waiting: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listUsers: {
        parameters: {
            query?: {
                /** @description The beginning of the username. Letter case does not matter. */
                search?: string;
                /** @description The `next` of the previous page. */
                cursor?: string;
                /** @description The maximum number of entries, from 1 to 1000. Default 100. */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of users, by name. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "users": [
                     *         {
                     *           "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *           "username": "alice",
                     *           "scopes": [
                     *             "items:read",
                     *             "users:read"
                     *           ],
                     *           "roles": [],
                     *           "disabled": false,
                     *           "created_at": "2026-10-01T09:00:00.000Z",
                     *           "password_changed_at": "2026-10-01T09:00:00.000Z"
                     *         }
                     *       ],
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["UserPage"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    addUser: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "username": "alice",
                 *       "password": "choose your own passphrase",
                 *       "scopes": [
                 *         "items:read"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["NewUser"];
            };
        };
        responses: {
            /** @description A user, as an administrator sees it. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *       "username": "alice",
                     *       "scopes": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "roles": [],
                     *       "disabled": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "password_changed_at": "2026-10-01T09:00:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             *
             *     `password_rejected`: The new password does not meet the password policy.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `username_taken`: This username is taken. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `overloaded`: Too many logins are waiting: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readOwnUser: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The account of a user, as the user sees it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10",
                     *       "username": "alice",
                     *       "scopes": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "roles": []
                     *     }
                     */
                    "application/json": components["schemas"]["Account"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `user_required`: The access token belongs to a machine client: use the token of a user. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    changeOwnPassword: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "current_password": "choose your own passphrase",
                 *       "new_password": "choose your own passphrase again"
                 *     }
                 */
                "application/json": components["schemas"]["PasswordChange"];
            };
        };
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `password_rejected`: The new password does not meet the password policy.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `user_required`: The access token belongs to a machine client: use the token of a user.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             *
             *     `wrong_password`: The current password is incorrect.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `payload_too_large`: The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type`: The content type must be application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `too_many_requests`: Too many attempts from this address: wait, then try again.
             *
             *     `too_many_failures`: Too many attempts have failed: wait, then try again.
             */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `overloaded`: Too many logins are waiting: try again in a moment.
             *
             *     `account_changed`: The account was changed during this request: try again.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listSessionsOfUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Live sessions, most recently used first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "sessions": [
                     *         {
                     *           "id": "0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32",
                     *           "client_id": "latchkey",
                     *           "scope": "items:read users:read",
                     *           "created_at": "2026-10-01T09:00:00.000Z",
                     *           "last_used_at": "2026-11-02T08:15:30.000Z",
                     *           "expires_at": "2027-01-31T08:15:30.000Z",
                     *           "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
                     *           "device": "Firefox on Linux",
                     *           "address": "203.0.113.7",
                     *           "current": true
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["SessionList"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    logOutUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listKeysOfUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Personal access tokens, newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "keys": [
                     *         {
                     *           "id": "0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32",
                     *           "name": "backup script",
                     *           "scopes": [
                     *             "items:read",
                     *             "users:read"
                     *           ],
                     *           "created_at": "2026-11-02T08:15:30.000Z",
                     *           "expires_at": "2027-01-31T08:15:30.000Z",
                     *           "last_used_at": null
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["KeyList"];
                };
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `insufficient_scope`: The access token lacks a required scope. */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeKeyOfUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
                key_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid_request`: The request is malformed. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found`: This resource does not exist. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    verifyRequest: {
        parameters: {
            query?: {
                /** @description The scopes that the access token must have, separated by spaces. Default none. */
                scope?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The request has a valid access token with these scopes. */
            204: {
                headers: {
                    /** @description The claim `sub`. `%` and everything except visible ASCII are percent-encoded. */
                    "X-Latchkey-User"?: string;
                    /** @description The claim `client_id`. In a machine client's own token it equals `sub`. `%` and everything except visible ASCII are percent-encoded. */
                    "X-Latchkey-Client"?: string;
                    /** @description The scopes of the token, separated by spaces. */
                    "X-Latchkey-Scopes"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `unauthenticated`: Authentication is required.
             *
             *     `invalid_token`: The access token is invalid.
             *
             *     `token_expired`: The access token expired.
             *
             *     `token_revoked`: The access token was revoked.
             *
             *     `session_stolen`: Two parties have used the same refresh token of this session, so the session was ended: log in again.
             */
            401: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `insufficient_scope`: The access token lacks a required scope.
             *
             *     `cross_site_request`: A request from another site cannot use the cookies of this site.
             */
            403: {
                headers: {
                    /** @description How to authenticate (RFC 6750 section 3). */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_requests`: Too many attempts from this address: wait, then try again. */
            429: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: The token's revocation status is currently unknown: try again in a moment.
             *
             *     `store_unavailable`: The database is not available: try again in a moment.
             */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The public keys (RFC 7517 section 5). */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "keys": [
                     *         {
                     *           "kty": "EC",
                     *           "kid": "1",
                     *           "alg": "ES256",
                     *           "use": "sig",
                     *           "crv": "P-256",
                     *           "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                     *           "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Jwks"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `store_unavailable`: The database is not available: try again in a moment. */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readServerMetadata: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The endpoints of this server and what they support. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "issuer": "https://auth.example.com",
                     *       "token_endpoint": "https://auth.example.com/token",
                     *       "jwks_uri": "https://auth.example.com/.well-known/jwks.json",
                     *       "scopes_supported": [
                     *         "items:read",
                     *         "users:read"
                     *       ],
                     *       "response_types_supported": [],
                     *       "grant_types_supported": [
                     *         "client_credentials",
                     *         "refresh_token"
                     *       ],
                     *       "token_endpoint_auth_methods_supported": [
                     *         "client_secret_basic",
                     *         "client_secret_post",
                     *         "none"
                     *       ],
                     *       "revocation_endpoint": "https://auth.example.com/revoke",
                     *       "revocation_endpoint_auth_methods_supported": [
                     *         "client_secret_basic",
                     *         "client_secret_post",
                     *         "none"
                     *       ],
                     *       "introspection_endpoint": "https://auth.example.com/introspect",
                     *       "introspection_endpoint_auth_methods_supported": [
                     *         "client_secret_basic",
                     *         "client_secret_post"
                     *       ],
                     *       "revocation_feed_endpoint": "https://auth.example.com/revocations"
                     *     }
                     */
                    "application/json": components["schemas"]["ServerMetadata"];
                };
            };
            /** @description `headers_too_large`: The request has too many headers, or they are too long. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on the server. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `store_unavailable`: The database is not available: try again in a moment. */
            503: {
                headers: {
                    /** @description Seconds to wait. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
