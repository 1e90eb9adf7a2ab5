#!/usr/bin/env bash
# Compute computed.json anew, with openssl alone: nothing of the bridge is used, so that the two check each other.
# New key pairs are made each time, and their private halves are thrown away. Needs openssl 3.
set -euo pipefail
cd "$(dirname "$0")"
timestamp=1705314600
secret=whsec_01jq8secretxxxxxxxxxxxxxxxx
scratch=$(mktemp -d)
body=$scratch/body  # the documented one, as `sample job.completed` has it
trap 'rm -rf "$scratch"' EXIT
printf '%s' '{"id":"evt_abc123","type":"job.completed","timestamp":"2024-01-15T10:30:00Z","job_id":"job_xyz789","data":{"status":"completed","summary":{"total_rows_synced":48291,"duration_seconds":245}}}' >"$body"
{ printf '%s.' "$timestamp"; cat "$body"; } >"$scratch/text"

openssl genpkey -quiet -algorithm ed25519 -out "$scratch/ed25519"
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$scratch/ecdsa-p256"
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$scratch/rsa-pss"
openssl pkeyutl -sign -rawin -inkey "$scratch/ed25519" -in "$scratch/text" -out "$scratch/ed25519.sig"
openssl dgst -sha256 -sign "$scratch/ecdsa-p256" -out "$scratch/ecdsa-p256.sig" "$scratch/text"
openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256 \
    -sign "$scratch/rsa-pss" -out "$scratch/rsa-pss.sig" "$scratch/text"

base64_of() { openssl base64 -A -in "$1"; }
hmac_of() { openssl dgst -sha256 -hmac "$secret" -r "$1" | cut -d' ' -f1; }
{
    echo '{'
    echo '  "source": "openssl, by make.sh beside this file",'
    echo "  \"body\": \"job.completed\", \"timestamp\": $timestamp, \"secret\": \"$secret\","
    echo "  \"stripe\": \"t=$timestamp,v1=$(hmac_of "$scratch/text")\","
    echo "  \"github\": \"sha256=$(hmac_of "$body")\","
    echo '  "pairs": {'
    for kind in ed25519 ecdsa-p256 rsa-pss; do
        pem=$(openssl pkey -in "$scratch/$kind" -pubout | awk '{printf "%s\\n", $0}')
        [ $kind = rsa-pss ] && comma= || comma=,
        echo "    \"$kind\": {\"public\": \"$pem\", \"signature\": \"$(base64_of "$scratch/$kind.sig")\"}$comma"
    done
    echo '  }'
    echo '}'
} >computed.json
