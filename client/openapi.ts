// Made from openapi.json by npm run openapi.

export interface paths {
    "/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Who did what to whom, from where, and whether it worked; the newest first
         * @description In pages. Entries are kept for the time of the option `auditRetention`.
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
         * The machine clients, the oldest first
         * @description In pages, without their secrets.
         */
        get: operations["listClients"];
        put?: never;
        /**
         * Register a machine client; its secret is shown this once
         * @description Only the hash of the secret is kept. A built-in scope is given only by who has it.
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
         * A machine client
         * @description Without its secret.
         */
        get: operations["readClient"];
        put?: never;
        post?: never;
        /**
         * Delete a machine client, with every session and token
         * @description Its tokens die with it, and its id is not given again.
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
         * Give a machine client a new secret, which is shown this once; the old one and the access tokens made before are dead
         * @description For a secret that has leaked: there is no time in which both are valid.
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
         * Whether the process answers
         * @description For a supervisor that restarts what does not answer.
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
         * Whether the store answers and every revocation in it is known here
         * @description For a load balancer: 503 while the database is not available, or revocations could not be read. Both answers say how old is what is known of them: the member `revocation_index_age`, or the sentence in `detail`.
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
         * Whether an access or refresh token is live, and what it says
         * @description RFC 7662. A machine client hears of its own tokens, holders of `tokens:introspect` of all. Of anything that is not live it says no more than that.
         */
        post: operations["introspectToken"];
        delete?: never;
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
         * Log in a browser: the tokens go into HttpOnly cookies
         * @description Sets the cookies `access_token` and `refresh_token`, HttpOnly and, unless configured otherwise, `Secure` with the prefix `__Host-`. A session that the browser had before ends.
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
         * End this session, all others, or all, and clear the cookies
         * @description Works with an expired access token while the refresh cookie is there, and may be repeated. `others` leaves this session and its cookies as they are.
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
         * The metrics, in the text format of Prometheus
         * @description Only where the option `metrics` is on.
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
         * Exchange a refresh token, from the cookie or from the body, for its successor
         * @description Without a token in the body it takes the cookie and sets new ones. Parallel and repeated requests within the grace get the same successor; a later use of an old token ends its session.
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
         * Make an account, without scopes
         * @description Only where the option `registration` is on. Scopes cannot be asked for: an administrator grants them.
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
         * What is revoked, as it happens or in pages
         * @description As server-sent events for whoever accepts `text/event-stream`, for at most five minutes: reconnect, and go on after `Last-Event-ID`. Else as a page, for a poll with `If-None-Match`. What is newer than the `as_of` of the last answer the receiver does not know yet.
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
         * Revoke an access token, or a refresh token with its whole session
         * @description RFC 7009. The answer is the same for unknown, expired and dead tokens, and comes when the revocation is durable and in force. Tokens of a machine client need its authentication.
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
         * The own live sessions, the last used first
         * @description With where and when they began; `current` is that of this request.
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
         * End one of the own sessions
         * @description Its access tokens die with it.
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
         * Which sessions have ended, for verifiers of access tokens
         * @description A Status List Token (draft-ietf-oauth-status-list-21): of a bit for each session, 1 once it has ended. Access tokens say in `status` which list and which bit is theirs. Only where the option `statusList` is on.
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
         * Get an access token for a password, for a refresh token, or for a machine client itself
         * @description RFC 6749. Takes a form, or the same members as JSON. A user gets the scopes that are granted, or the fewer asked for; a machine client gets no refresh token. The parallel or repeated exchange of a refresh token within the grace gets the same successor.
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
         * A user
         * @description As it is stored, without its password hash.
         */
        get: operations["readUser"];
        put?: never;
        post?: never;
        /**
         * Delete a user with every session and token
         * @description The last enabled user with `users:write` stays.
         */
        delete: operations["removeUser"];
        options?: never;
        head?: never;
        /**
         * Change scopes, disable, enable, set a password: all of it or nothing
         * @description Taking away a scope kills the access tokens of the user; a new password or `disabled` ends every session too. A built-in scope is given or taken only by who has it.
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
         * The users, by name
         * @description In pages; `search` is for how the username begins.
         */
        get: operations["listUsers"];
        put?: never;
        /**
         * Add a user
         * @description A built-in scope is given only by who has it.
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
         * The user whose token this is
         * @description As it is stored: scopes granted after the token was made are here, and not in the token.
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
         * Change the own password; every other session ends
         * @description Asks for the current password. The session of this request goes on.
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
         * The live sessions of a user, the last used first
         * @description As their owner sees them.
         */
        get: operations["listSessionsOfUser"];
        put?: never;
        post?: never;
        /**
         * Log a user out everywhere: every session and every access token ends
         * @description Effective at once, and durable when it is answered.
         */
        delete: operations["logOutUser"];
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
         * The public keys that access tokens are verified with
         * @description RFC 7517. May be cached for as long as `Cache-Control` says: a key is published that long before it signs.
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
         * Where the endpoints are and what they support (RFC 8414)
         * @description RFC 8414. Also at the root of the host, before the path of the issuer.
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
        /** @description A user, as the user may see it. */
        Account: {
            id: string;
            username: string;
            /** @description All that is granted; a token may carry fewer. */
            scopes: string[];
        };
        /** @description An entry of the audit trail. */
        AuditEntry: {
            /** @description Its place in the trail: a later entry has a greater one. */
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
        /** @description A page of the audit trail, the newest first. */
        AuditPage: {
            events: components["schemas"]["AuditEntry"][];
            next: string | null;
        };
        /** @description A machine client. */
        Client: {
            /** @description The `client_id`; given by us. */
            id: string;
            name: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials. */
            grants: ("client_credentials" | "password")[];
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            secret_changed_at: string;
        };
        /** @description A page of clients, the oldest first. */
        ClientPage: {
            clients: components["schemas"]["Client"][];
            next: string | null;
        };
        /** @description A machine client with its secret. */
        ClientWithSecret: {
            /** @description The `client_id`; given by us. */
            id: string;
            name: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials. */
            grants: ("client_credentials" | "password")[];
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            secret_changed_at: string;
            /** @description The `client_secret`. It is shown this once: only its hash is kept. */
            secret: string;
        };
        /** @description Done; also where there was nothing to do. */
        Done: Record<string, never>;
        /** @description All is well. */
        Health: {
            /** @enum {string} */
            status: "ok";
        };
        /** @description What the token says, where it is live. */
        IntrospectResponse: {
            active: boolean;
            /** @description Scopes, separated by spaces. */
            scope?: string;
            client_id?: string;
            /** @enum {string} */
            token_type?: "bearer";
            /** @description Seconds. */
            exp?: number;
            /** @description Seconds. */
            iat?: number;
            sub?: string;
            aud?: string | string[];
            iss?: string;
            jti?: string;
            sid?: string;
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
        LoginRequest: {
            /** @description The username; letter case does not matter. */
            username: string;
            /** Format: password */
            password: string;
            /** @description Scopes, separated by spaces. */
            scope?: string;
        };
        /** @description Who logged in; the tokens are in the cookies. */
        LoginResponse: {
            user: components["schemas"]["Account"];
            /** @description Scopes, separated by spaces. */
            scope: string;
            /** @description The lifetime of the access token, in seconds. */
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
            /** @description The grants that the client may use at `POST /token`. Default: client_credentials. */
            grants?: ("client_credentials" | "password")[];
        };
        NewUser: {
            /** @description Letters and digits of any language, ASCII punctuation, and single spaces between words; letter case does not matter. */
            username: string;
            /** Format: password */
            password: string;
            /** @description All scopes that the user is to have. */
            scopes?: string[];
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
            status: number;
            detail: string;
            code: string;
        };
        /** @description Requests can be served. */
        Readiness: {
            /** @enum {string} */
            status: "ok";
            /** @description Seconds since it was last known here that there is no revocation in the database but those in memory. With SQLite 0, with PostgreSQL at most the bound. */
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
        /** @description Rules in the order in which they were made. A receiver only ever adds. */
        RevocationPage: {
            /** @description What to give as `after` for what comes next. */
            cursor: string;
            /** @description Whether there was more already: only without it the receiver has everything. */
            more: boolean;
            /** @description The `kid` of each key that verifies now. */
            keys: string[];
            rules: components["schemas"]["RevocationRule"][];
        };
        /** @description A rule that kills tokens. */
        RevocationRule: {
            /**
             * @description Which claim `value` is compared with: `jti`, `sid`, `sub` or `client_id`.
             * @enum {unknown}
             */
            kind: "token" | "session" | "user" | "client";
            value: string;
            /** @description Milliseconds since the epoch: tokens issued before are dead. Absent: whenever they were issued. */
            issued_before?: number;
            /** @description Milliseconds since the epoch: when the last token that the rule could kill has expired. */
            expires_at: number;
        };
        /** @description Where the endpoints are and what they support. */
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
            /** @description An extension: where a verifier follows what is revoked. */
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
            address: string | null;
            /** @description Whether this request belongs to it. */
            current: boolean;
        };
        /** @description Live sessions, the last used first. */
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
            /** @description password, refresh_token or client_credentials. May be left out with a username, as FastAPI clients do. */
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
            /** @description The lifetime of the access token, in seconds. */
            expires_in: number;
            /** @description Not for client_credentials: RFC 6749 section 4.4.3. */
            refresh_token?: string;
            /** @description Scopes, separated by spaces. */
            scope: string;
        };
        /** @description A user, as an administrator may see it. */
        User: {
            id: string;
            username: string;
            /** @description All that is granted. */
            scopes: string[];
            /** @description Whether it is kept from logging in. */
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
            /** @description All scopes that the user is to have. */
            scopes?: string[];
            /** @description Whether the user is kept from logging in. */
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
                type?: "login" | "login_failed" | "refresh" | "refresh_token_reuse" | "token_revoked" | "tokens_revoked" | "session_ended" | "sessions_ended" | "user_added" | "users_exported" | "user_removed" | "user_disabled" | "user_enabled" | "scopes_changed" | "password_changed" | "key_added" | "key_activated" | "key_revoked" | "keys_resealed" | "attempts_blocked" | "client_added" | "client_removed" | "client_secret_rotated" | "client_authentication_failed" | "client_token" | "password_change_failed";
                outcome?: "success" | "failure";
                /** @description The id of the user or client that did it. */
                actor?: string;
                /** @description The id of the user, client or key that it happened to. */
                subject?: string;
                since?: string;
                until?: string;
                /** @description The `next` of the previous page. */
                cursor?: string;
                /** @description How many entries, 1 to 1000. Default 100. */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the audit trail, the newest first. */
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                /** @description The `client_id`; given by us. */
                cursor?: string;
                /** @description How many entries, 1 to 1000. Default 100. */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of clients, the oldest first. */
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description A machine client with its secret. */
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
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "secret_changed_at": "2026-10-01T09:00:00.000Z",
                     *       "secret": "lks_2vJ0nQ8bR5tXwYz1aC3dE4fG6hI7jK9lM0oP2qS4uTU"
                     *     }
                     */
                    "application/json": components["schemas"]["ClientWithSecret"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                /** @description The `client_id`; given by us. */
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
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "secret_changed_at": "2026-10-01T09:00:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Client"];
                };
            };
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                /** @description The `client_id`; given by us. */
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                /** @description The `client_id`; given by us. */
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
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "secret_changed_at": "2026-10-01T09:00:00.000Z",
                     *       "secret": "lks_2vJ0nQ8bR5tXwYz1aC3dE4fG6hI7jK9lM0oP2qS4uTU"
                     *     }
                     */
                    "application/json": components["schemas"]["ClientWithSecret"];
                };
            };
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description All is well. */
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
            /** @description `headers_too_large`: The request has too many headers, or too long ones. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
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
            /** @description Requests can be served. */
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
            /** @description `headers_too_large`: The request has too many headers, or too long ones. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                "application/x-www-form-urlencoded": components["schemas"]["TokenReference"];
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "application/json": components["schemas"]["TokenReference"];
            };
        };
        responses: {
            /** @description What the token says, where it is live. */
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
             *     `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
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
             *     `invalid_client`: The client is unknown or its authentication failed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `unsupported_media_type`: The content type must be application/json. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description Who logged in; the tokens are in the cookies. */
            200: {
                headers: {
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
                     *         ]
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
            /** @description `cross_site_request`: A request from another site may not use the cookies of this one. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `overloaded`: Too many sign-ins are waiting: try again in a moment.
             *
             *     `account_changed`: The account was changed at the same moment: try again.
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
                    [name: string]: unknown;
                };
                content?: never;
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
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
             * @description `user_required`: This is for users: the access token is a machine client's own.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one. */
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description What the token in the body, or the cookie, was exchanged for. */
            200: {
                headers: {
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
            /** @description `cross_site_request`: A request from another site may not use the cookies of this one. */
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
            /** @description `internal_error`: Something went wrong on our side. */
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
            /** @description A user, as the user may see it. */
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
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Account"];
                };
            };
            /**
             * @description `invalid_request`: The request is malformed.
             *
             *     `password_rejected`: The new password does not meet the policy.
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `overloaded`: Too many sign-ins are waiting: try again in a moment.
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
                /** @description The `cursor` of the page before. One that this store has not made begins at the start. An event stream takes `Last-Event-ID` instead. */
                after?: string;
                /** @description How many rules a page has at most, 1 to 1000. Default 1000. */
                limit?: string;
            };
            header?: {
                /** @description Of an event stream: the `id` of the last event that arrived. */
                "last-event-id"?: string;
                /** @description Of a page: the `ETag` of the last one. */
                "if-none-match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Rules in the order in which they were made. A receiver only ever adds. */
            200: {
                headers: {
                    /** @description Milliseconds from the arrival of the request to the moment as of which this is all that was revoked; it may be negative. */
                    "revocation-as-of"?: number;
                    /** @description The clock of the service, in milliseconds since the epoch. */
                    "revocation-time"?: number;
                    /** @description Changes with what the page says. */
                    etag?: string;
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
                    /** @description Milliseconds from the arrival of the request to the moment as of which this is all that was revoked; it may be negative. */
                    "revocation-as-of"?: number;
                    /** @description The clock of the service, in milliseconds since the epoch. */
                    "revocation-time"?: number;
                    /** @description Changes with what the page says. */
                    etag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                "application/x-www-form-urlencoded": components["schemas"]["TokenReference"];
                /**
                 * @example {
                 *       "token": "lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU",
                 *       "token_type_hint": "refresh_token"
                 *     }
                 */
                "application/json": components["schemas"]["TokenReference"];
            };
        };
        responses: {
            /** @description Done; also where there was nothing to do. */
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
             *     `token_of_another_client`: The token was made for another client: only that one can revoke it.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `invalid_client`: The client is unknown or its authentication failed. */
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
            /** @description `unsupported_media_type`: The content type must be application/json. */
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
            /** @description `internal_error`: Something went wrong on our side. */
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
            /** @description Live sessions, the last used first. */
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
                     *           "user_agent": "Mozilla/5.0",
                     *           "address": "203.0.113.7",
                     *           "current": true
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["SessionList"];
                };
            };
            /** @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one. */
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
            /** @description `user_required`: This is for users: the access token is a machine client's own. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
             * @description `user_required`: This is for users: the access token is a machine client's own.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description The list: a JWT with the `typ` of `statuslist+jwt`, signed with a key of the JWKS. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example eyJhbGciOiJFUzI1NiIsInR5cCI6InN0YXR1c2xpc3Qrand0Iiwia2lkIjoiMSJ9.eyJ0dGwiOjMwfQ.c2lnbmF0dXJl */
                    "application/statuslist+jwt": string;
                };
            };
            /** @description The list that the client has (`If-None-Match`) is the current one. */
            304: {
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
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
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
                "application/x-www-form-urlencoded": components["schemas"]["TokenRequest"];
                "application/json": components["schemas"]["TokenRequest"];
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
             *     `unauthorized_client`: The client may not use this grant_type.
             *
             *     `invalid_credentials`: The username or password is incorrect.
             *
             *     `invalid_refresh_token`: The refresh token is invalid, expired or revoked.
             */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /** @description `invalid_client`: The client is unknown or its authentication failed. */
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
            /** @description `unsupported_media_type`: The content type must be application/json. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OAuthError"];
                };
            };
            /**
             * @description `overloaded`: Too many sign-ins are waiting: try again in a moment.
             *
             *     `account_changed`: The account was changed at the same moment: try again.
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
            /** @description A user, as an administrator may see it. */
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
                     *       "disabled": false,
                     *       "created_at": "2026-10-01T09:00:00.000Z",
                     *       "password_changed_at": "2026-10-01T09:00:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `last_administrator`: This is the last enabled user with users:write: make another one first. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description A user, as an administrator may see it. */
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
             *     `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             *
             *     `password_rejected`: The new password does not meet the policy.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `last_administrator`: This is the last enabled user with users:write: make another one first. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
             *
             *     `overloaded`: Too many sign-ins are waiting: try again in a moment.
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
                /** @description How the username begins; letter case does not matter. */
                search?: string;
                /** @description The `next` of the page before. */
                cursor?: string;
                /** @description How many entries, 1 to 1000. Default 100. */
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description A user, as an administrator may see it. */
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
             *     `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_scope`: A requested scope is unknown or was not granted.
             *
             *     `password_rejected`: The new password does not meet the policy.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
             *
             *     `overloaded`: Too many sign-ins are waiting: try again in a moment.
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
            /** @description A user, as the user may see it. */
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
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Account"];
                };
            };
            /** @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one. */
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
            /** @description `user_required`: This is for users: the access token is a machine client's own. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
             *     `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `password_rejected`: The new password does not meet the policy.
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
             * @description `user_required`: This is for users: the access token is a machine client's own.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
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
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
             *
             *     `overloaded`: Too many sign-ins are waiting: try again in a moment.
             *
             *     `account_changed`: The account was changed at the same moment: try again.
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
            /** @description Live sessions, the last used first. */
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
                     *           "user_agent": "Mozilla/5.0",
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
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
            /** @description `insufficient_scope`: The access token lacks a scope that this needs. */
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /**
             * @description `ambiguous_credentials`: The Authorization header and the cookie carry different tokens: send one.
             *
             *     `invalid_request`: The request is malformed.
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
             * @description `insufficient_scope`: The access token lacks a scope that this needs.
             *
             *     `cross_site_request`: A request from another site may not use the cookies of this one.
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
            /** @description `not_found`: There is nothing here. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /**
             * @description `revocation_unknown`: It cannot be told whether this token was revoked: try again in a moment.
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
            /** @description `headers_too_large`: The request has too many headers, or too long ones. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
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
            /** @description Where the endpoints are and what they support. */
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
            /** @description `headers_too_large`: The request has too many headers, or too long ones. */
            431: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error`: Something went wrong on our side. */
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
