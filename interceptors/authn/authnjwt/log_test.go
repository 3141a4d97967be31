package authnjwt_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// breaking is a handler whose methods break.
type breaking struct{ how func() }

func (b breaking) Enabled(context.Context, slog.Level) bool  { b.how(); return true }
func (b breaking) Handle(context.Context, slog.Record) error { b.how(); return nil }
func (b breaking) WithAttrs([]slog.Attr) slog.Handler        { b.how(); return b }
func (b breaking) WithGroup(string) slog.Handler             { b.how(); return b }

// TestBreakingLogger: a handler that panics, or ends a goroutine that fetches, changes nothing else: keys are
// fetched, and files read, again.
func TestBreakingLogger(t *testing.T) {
	panics := func() { panic("handler") }
	for name, how := range map[string]func(){"panic": panics, "Goexit": runtime.Goexit} {
		t.Run("fetch, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				w.set(failing)
				v := validator(t, fromURL(), w.option(), authnjwt.WithLogger(slog.New(breaking{how})))
				rejects(t, v, long(edKey(), "1"), authnjwt.ErrKeys)
				w.set(answers(200, setOf("1")))
				wait(time.Minute)
				w.set(answers(200, setOf("2")))
				wait(10 * time.Minute) // it logs that the keys have changed
				w.set(answers(200, setOf("3")))
				wait(10 * time.Minute)
				accepts(t, v, long(edKey(), "3"))
			})
		})
	}
	t.Run("file", func(t *testing.T) {
		bubble(t, func(t *testing.T, _ *web) {
			c := config()
			c.JWKSFile = filepath.Join(t.TempDir(), "keys")
			c.RolesClaim = "roles"
			write(t, c.JWKSFile, setOf("1"))
			v := validator(t, c, authnjwt.WithLogger(slog.New(breaking{panics})))
			accepts(t, v, long(edKey(), "1"))
			for _, content := range []string{"garbage", setOf("1"), setOf("2")} {
				write(t, c.JWKSFile, content)
				wait(2 * time.Second)
			}
			accepts(t, v, long(edKey(), "2"))
		})
	})
}

// TestMissingClaims: a token without a claim that the settings name is logged at Debug, once while it is
// kept, with the names of its claims and none of their values.
func TestMissingClaims(t *testing.T) {
	c := config()
	c.RolesClaim, c.TenantClaim = "realm_access.role", "tid"
	var log buffer
	handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
	v := validator(t, c, edKeys(), authnjwt.WithLogger(slog.New(handler)))
	text := token(claims(time.Now()).with(object{"realm_access": object{"roles": []string{"buyer"}}, "tid": "acme"}))
	accepts(t, v, text)
	accepts(t, v, text)
	got := log.take()
	for _, want := range []string{"level=DEBUG", "setting=RolesClaim", "claim=realm_access.role", "[aud exp iat iss jti realm_access sub tid]"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("the log is %q; want %q once", got, want)
		}
	}
	if strings.Contains(got, "TenantClaim") || strings.Contains(got, "alice") || strings.Contains(got, "acme") {
		t.Errorf("the log is %q", got)
	}
}
