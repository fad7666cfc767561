# The service on SQLite, built from this checkout: docker build -t latchkey-service .
# docs/production.md says how to run it. For PostgreSQL and several nodes see examples/cluster/.
FROM node:22-slim AS build
WORKDIR /build
COPY package.json ./
# There is no lockfile, so npm takes the latest versions that package.json allows. Only the compiler runs here.
RUN npm install --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm pack && mv fastify-latchkey-*.tgz latchkey.tgz

FROM node:22-slim
COPY --from=build /build/latchkey.tgz /tmp/latchkey.tgz
# better-sqlite3 comes compiled for Node.js 22 and later.
RUN npm install --prefix /opt/latchkey --omit=dev --no-audit --no-fund /tmp/latchkey.tgz fastify && rm /tmp/latchkey.tgz
# The database and, beside it, the secret. The service refuses a secret in a folder that everyone can write to.
RUN install -d -o node -g node -m 700 /data
VOLUME /data
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 LATCHKEY_DATABASE=/data/latchkey.db
EXPOSE 3000
USER node
WORKDIR /home/node
# It asks whether the process answers. /health/ready also asks the database, and is for a load balancer.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + (process.env.LATCHKEY_PREFIX ?? '') + '/health/live').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/latchkey/node_modules/fastify-latchkey/dist/cli.js"]
CMD ["serve"]
