# The images of manager and worker: docker build --target manager . ; docker build --target worker .
# The same program as in the archives of tools/images.sh, on a distroless base.

FROM --platform=$BUILDPLATFORM docker.io/library/node:24-trixie-slim AS build
WORKDIR /src
COPY tools/package.json tools/package-lock.json tools/
RUN npm ci --ignore-scripts --no-audit --no-fund --prefix tools
ENV PATH=/src/node_modules/.bin:/src/tools/node_modules/.bin:$PATH
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY packages/shared/package.json packages/shared/
COPY packages/manager/package.json packages/manager/
COPY packages/worker/package.json packages/worker/
COPY helm/package.json helm/
COPY e2e/package.json e2e/
RUN CI=true pnpm install --frozen-lockfile
COPY . .
RUN tools/build.sh

FROM gcr.io/distroless/nodejs24-debian13:nonroot AS base
ENV NODE_ENV=production PATH=/nodejs/bin
WORKDIR /app
USER 65532:65532
COPY LICENSE /app/
COPY <<EOF /app/package.json
{"type":"module"}
EOF

FROM base AS manager
LABEL org.opencontainers.image.title="shard-controller manager" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/packages/manager/dist/bundle.js /app/manager.js
EXPOSE 8080
ENTRYPOINT ["/nodejs/bin/node", "/app/manager.js"]

FROM base AS worker
LABEL org.opencontainers.image.title="shard-controller worker" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/packages/worker/dist/bundle.js /app/worker.js
EXPOSE 8080 8082
ENTRYPOINT ["/nodejs/bin/node", "/app/worker.js"]
