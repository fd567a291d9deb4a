#!/usr/bin/env bash
# Serves one cache directory with nginx and with `kiln cache serve` in the same run, on loopback, and prints how they compare. See benches/README.md.
#   usage:  benches/against-nginx.sh WORKDIR
#   knobs:  KILN=target/release/kiln SECONDS_EACH=4 RUNS=5 NAR_MB=1024 INFOS=2000 NGINX=nginx
# Needs (Debian): nginx-light (or nginx), wrk, python3. Touches only WORKDIR, opens ports 18413 and 18414 of 127.0.0.1.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
W=${1:?usage: against-nginx.sh WORKDIR}
KILN=$(realpath "${KILN:-$here/../target/release/kiln}")
SECONDS_EACH=${SECONDS_EACH:-4} RUNS=${RUNS:-5} NAR_MB=${NAR_MB:-1024} INFOS=${INFOS:-2000}
NGINX=$(PATH=$PATH:/usr/sbin command -v "${NGINX:-nginx}" || true)
for tool in "$NGINX" wrk python3 "$KILN"; do
  command -v "$tool" >/dev/null || { echo "missing: ${tool:-nginx}" >&2; exit 2; }
done
mkdir -p "$W"
cd "$W"
W=$PWD
[ -f cache.made ] || { python3 "$here/serving.py" make cache "$NAR_MB" "$INFOS" && touch cache.made; }

# As Debian sets it up: sendfile, tcp_nopush, a worker a core, an access log.
cat > nginx.conf <<CONF
worker_processes auto;
pid $W/nginx.pid;
error_log $W/nginx-error.log;
events { worker_connections 768; }
http {
  sendfile on; tcp_nopush on; types_hash_max_size 2048;
  default_type application/octet-stream;
  access_log $W/nginx-access.log;
  keepalive_requests 1000000000;
  server { listen 127.0.0.1:18413; root $W/cache; }
}
CONF
chmod -R a+rX "$W"
"$NGINX" -p "$W" -c "$W/nginx.conf" -g 'daemon off;' & nginx=$!
"$KILN" cache serve "$W/cache" --listen 127.0.0.1:18414 --access-log "$W/kiln-access.log" 2> kiln.log & kiln=$!
trap 'kill $nginx $kiln 2>/dev/null; wait' EXIT
sleep 1.5 # kiln reads the descriptions once, for its page
echo "kiln $("$KILN" --version | cut -d' ' -f2), $("$NGINX" -v 2>&1 | cut -d: -f2); Linux $(uname -r), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"
echo
python3 "$here/serving.py" compare cache --seconds "$SECONDS_EACH" --runs "$RUNS" nginx $nginx 18413 kiln $kiln 18414
