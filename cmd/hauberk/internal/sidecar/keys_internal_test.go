package sidecar

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// allKeys is a section gateway with each key. CERT and KEY are the files of a certificate.
const allKeys = `version: 1
gateway:
  listen: unix:/run/shop.sock
  upstream: 127.0.0.1:2
  telemetry: 127.0.0.1:3
  telemetry_tls: {cert_file: CERT, key_file: KEY}
  admin: 127.0.0.1:4
  admin_tls: {cert_file: CERT, key_file: KEY}
  admin_token_file: /run/token
  transport: grpc
  drain: 7s
  insecure: true
  forward_request_id: true
  forward_address: false
  tls: {cert_file: CERT, key_file: KEY, client_ca_file: CERT, min_version: "1.3"}
  identity_metadata: {subject: x-subject}
  strip_metadata: [x-user, x-other]
  upstream_tls: {ca_file: CERT, cert_file: CERT, key_file: KEY, server_name: shop.example, min_version: "1.3"}
  descriptors_file: /run/shop.binpb
  reflection: true
  health_service: sidecar
  upstream_balance: round_robin
  upstream_connect_timeout: 1s
  upstream_min_backoff: 2s
  upstream_max_backoff: 3s
  upstream_tcp_timeout: -1s
  upstream_ping_after: 15s
  upstream_ping_timeout: 5s
  upstream_ping_idle: true
  upstream_health: true
  upstream_health_service: shop.v1.Cart
  upstream_eject_after: 6
  upstream_eject_time: 7s
  upstream_eject_percent: 8
  upstream_wait: 9s
  max_message_size: 1048576
  max_header_list_size: 8192
  max_upstream_header_list_size: 131072
  max_concurrent_streams: 11
  max_handshakes: 24
  max_connections: 12
  max_connection_age: 13m
  max_connection_age_grace: 14s
  max_connection_idle: 15m
  min_ping_interval: 16s
  max_settings_rate: 17
  max_reset_rate: 18
  max_empty_frame_rate: 19
  handshake_timeout: 20s
  frame_timeout: 21s
  message_timeout: 22s
  first_byte_timeout: 23s
  max_memory: 512MiB
`

// allFlags are the flags with the same values.
const allFlags = `--listen unix:/run/shop.sock --upstream 127.0.0.1:2 --telemetry 127.0.0.1:3
	--telemetry-tls-cert CERT --telemetry-tls-key KEY --admin 127.0.0.1:4 --admin-tls-cert CERT --admin-tls-key KEY
	--admin-token-file /run/token --transport grpc --drain 7s --insecure --forward-request-id --forward-address=false --tls-cert CERT --tls-key KEY
	--tls-client-ca CERT --tls-min 1.3 --identity-metadata subject=x-subject --strip-metadata x-user,x-other --health-service sidecar --descriptors /run/shop.binpb --reflection --upstream-tls
	--upstream-ca CERT --upstream-cert CERT --upstream-key KEY --upstream-server-name shop.example --upstream-tls-min 1.3
	--upstream-balance round_robin --upstream-connect-timeout 1s --upstream-min-backoff 2s --upstream-max-backoff 3s
	--upstream-tcp-timeout -1s --upstream-ping-after 15s --upstream-ping-timeout 5s --upstream-ping-idle --upstream-health
	--upstream-health-service shop.v1.Cart --upstream-eject-after 6 --upstream-eject-time 7s --upstream-eject-percent 8
	--upstream-wait 9s --max-message-size 1MiB --max-header-size 8KiB --max-upstream-header-size 128KiB --max-streams 11
	--max-connections 12 --max-handshakes 24 --max-connection-age 13m --max-connection-age-grace 14s --max-connection-idle 15m
	--min-ping-interval 16s --max-settings-rate 17 --max-reset-rate 18 --max-empty-frame-rate 19 --handshake-timeout 20s
	--frame-timeout 21s --message-timeout 22s --first-byte-timeout 23s --max-memory 512MiB`

// parsed returns the options of a command line.
func parsed(t *testing.T, args ...string) *options {
	t.Helper()
	o, cmd := new(options), new(cobra.Command)
	o.flags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := o.fromFile(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	return o
}

// pairFiles replaces CERT and KEY in texts by the names of the files of a certificate.
func pairFiles(t *testing.T) *strings.Replacer {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, secret := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, secret: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer("CERT", cert, "KEY", secret)
}

// A key has the effect of its flag. With both, the flag is in force, and a line says so for each.
func TestKeysAreFlags(t *testing.T) {
	files := pairFiles(t)
	path := filepath.Join(t.TempDir(), "policy.yaml")
	for file, text := range map[string]string{
		path: files.Replace(allKeys), path + ".empty": "version: 1\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := strings.Fields(files.Replace(allFlags))
	byFlag, byKey := parsed(t, append(args, "-c", path+".empty")...), parsed(t, "-c", path)
	both := parsed(t, append(slices.Clone(args), "-c", path)...)
	if n := strings.Count(allFlags, "--"); len(both.from) != n {
		t.Errorf("%d lines for %d flags: %q", len(both.from), n, both.from)
	}
	byFlag.config, both.from = path, nil
	want := fmt.Sprintf("%+v", byFlag)
	if got := fmt.Sprintf("%+v", byKey); got != want {
		t.Errorf("the keys set\n%s\nwant, as the flags,\n%s", got, want)
	}
	if got := fmt.Sprintf("%+v", both); got != want {
		t.Errorf("both set\n%s\nwant, as the flags,\n%s", got, want)
	}
	byKey.transport = "frames" // grpc does not have all limits
	if _, err := byKey.check(t.Context()); err != nil {
		t.Error(err)
	}
}
