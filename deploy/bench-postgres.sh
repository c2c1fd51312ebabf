#!/usr/bin/env bash
# The PostgreSQL that the benchmarks run beside: a primary and two standbys of which each commit waits for one (`ANY 1`,
# `synchronous_commit = on`), TLS 1.3 with certificates of clients, one prepared INSERT a transaction. Other scripts source this
# file, which only defines functions:
#
#   carnet_postgres_up FOLDER PORT     starts the three at PORT and the two after it; FOLDER may not exist
#   carnet_postgres_round CLIENTS SECONDS RECORD_BYTES
#                                      prints what pgbench did once all were connected: {"per_second": …, "mean_us": …}, and
#                                      processor time a transaction with the handshakes of all clients in it
#   carnet_postgres_down
#
# The loader is pgbench, which signs nothing: it leaves the servers more of the machine than ours does.

_carnet_pg_run() { (cd / && su postgres -s /bin/sh -c "$*"); }

carnet_postgres_up() {
  CARNET_PG=$1 CARNET_PG_PORT=$2
  local s
  CARNET_PG_BIN=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
  mkdir -p "$CARNET_PG/tls"
  # A root, the servers' certificate, and one of the client, whose name is the role that it logs in as.
  (
    cd "$CARNET_PG/tls"
    openssl req -x509 -newkey ed25519 -nodes -keyout root.key -out root.crt -subj /CN=bench -days 2 2>/dev/null
    for who in server postgres; do
      openssl req -newkey ed25519 -nodes -keyout "$who.key" -out "$who.csr" -subj "/CN=$who" 2>/dev/null
      openssl x509 -req -in "$who.csr" -CA root.crt -CAkey root.key -CAcreateserial -days 2 -out "$who.crt" \
        -extfile <(echo "subjectAltName=IP:127.0.0.1") 2>/dev/null
    done
    chmod 600 ./*.key
  )
  chown -R postgres "$CARNET_PG"
  _carnet_pg_run "$CARNET_PG_BIN/initdb -D $CARNET_PG/p -A trust -U postgres" >/dev/null
  cat >>"$CARNET_PG/p/postgresql.conf" <<C
port = $CARNET_PG_PORT
unix_socket_directories = '$CARNET_PG'
listen_addresses = '127.0.0.1'
max_connections = 300
shared_buffers = 512MB
max_wal_size = 4GB
wal_level = replica
max_wal_senders = 10
synchronous_commit = on
fsync = on
ssl = on
ssl_min_protocol_version = 'TLSv1.3'
ssl_ca_file = '$CARNET_PG/tls/root.crt'
ssl_cert_file = '$CARNET_PG/tls/server.crt'
ssl_key_file = '$CARNET_PG/tls/server.key'
C
  cat >"$CARNET_PG/p/pg_hba.conf" <<C
local all all trust
hostssl all all 127.0.0.1/32 cert
hostssl replication all 127.0.0.1/32 cert
C
  export PGSSLMODE=verify-ca PGSSLROOTCERT=$CARNET_PG/tls/root.crt PGSSLCERT=$CARNET_PG/tls/postgres.crt
  export PGHOST=127.0.0.1 PGPORT=$CARNET_PG_PORT PGUSER=postgres PGDATABASE=postgres
  # The key must be its reader's own: one copy for whoever runs this, one for the servers.
  cp "$CARNET_PG/tls/postgres.key" "$CARNET_PG/client.key"
  chown "$(id -u)" "$CARNET_PG/client.key"
  export PGSSLKEY=$CARNET_PG/client.key
  _carnet_pg_run "$CARNET_PG_BIN/pg_ctl -D $CARNET_PG/p -l $CARNET_PG/p.log -w start" >/dev/null
  for s in 1 2; do
    PGSSLKEY=$CARNET_PG/tls/postgres.key _carnet_pg_run "$CARNET_PG_BIN/pg_basebackup -D $CARNET_PG/s$s -R -X stream"
    sed -i "s/^port = .*/port = $((CARNET_PG_PORT + s))/" "$CARNET_PG/s$s/postgresql.conf"
    sed -i "s/user=postgres/application_name=s$s user=postgres/" "$CARNET_PG/s$s/postgresql.auto.conf"
    PGSSLKEY=$CARNET_PG/tls/postgres.key _carnet_pg_run "$CARNET_PG_BIN/pg_ctl -D $CARNET_PG/s$s -l $CARNET_PG/s$s.log -w start" >/dev/null
  done
  echo "synchronous_standby_names = 'ANY 1 (s1, s2)'" >>"$CARNET_PG/p/postgresql.conf"
  _carnet_pg_run "$CARNET_PG_BIN/pg_ctl -D $CARNET_PG/p reload" >/dev/null
  local patience=100
  until [ "$(psql -qAt -c "select count(*) from pg_stat_replication where sync_state = 'quorum'")" = 2 ]; do
    patience=$((patience - 1))
    [ "$patience" -gt 0 ] || { echo "bench-postgres: the standbys do not follow" >&2; return 1; }
    sleep 0.1
  done
  psql -q -c "create table robot(code text primary key, seq bigserial, rec bytea not null)"
  psql -qAt -c "select 'PostgreSQL ' || current_setting('server_version') || ', ' || version || ', synchronous_commit ' || current_setting('synchronous_commit') from pg_stat_ssl where pid = pg_backend_pid()"
}

# Processor time of the servers and all their children so far, in microseconds.
_carnet_pg_cpu() {
  local pid postmasters tick
  tick=$(getconf CLK_TCK)
  postmasters=$(for s in p s1 s2; do head -n 1 "$CARNET_PG/$s/postmaster.pid"; done)
  # Of a postmaster also what its children that ended took.
  for pid in $postmasters $(for pid in $postmasters; do pgrep -P "$pid"; done); do
    sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null
  done | awk -v tick="$tick" '{n += $12 + $13 + $14 + $15} END {printf "%.0f\n", n * 1000000 / tick}'
}

carnet_postgres_round() {
  local clients=$1 seconds=$2 bytes=$3 before after out
  cat >"$CARNET_PG/one.sql" <<S
\\set a random(1, 9000000000000000000)
insert into robot(code, rec) values (lpad((:a)::text, 29, '0'), decode(repeat('ab', $bytes), 'hex')) on conflict do nothing;
S
  # Its time begins before the first connection: a handshake takes some ten milliseconds.
  before=$(_carnet_pg_cpu)
  if ! out=$(pgbench -n -M prepared -c "$clients" -j 2 -T $((seconds + 1 + clients / 64)) -f "$CARNET_PG/one.sql" 2>"$CARNET_PG/pgbench.log"); then
    tail -n 3 "$CARNET_PG/pgbench.log" >&2
    return 1
  fi
  after=$(_carnet_pg_cpu)
  awk -v cpu=$((after - before)) '
    /number of transactions actually processed/ {split($NF, n, "/"); written = n[1]}
    /latency average/ {mean = $4 * 1000}
    /^tps/ {rate = $3}
    END {printf "{\"per_second\": %.0f, \"mean_us\": %.0f, \"cpu_us_each_with_handshakes\": %.1f}\n", rate, mean, written ? cpu / written : 0}' <<<"$out"
}

carnet_postgres_down() {
  local s
  for s in s1 s2 p; do _carnet_pg_run "$CARNET_PG_BIN/pg_ctl -D $CARNET_PG/$s -m immediate stop" >/dev/null 2>&1 || true; done
}
