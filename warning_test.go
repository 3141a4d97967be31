package hauberk_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// TestWarning: what an interceptor warns of is in Lint and Explain, and is logged when its chain is attached, once.
func TestWarning(t *testing.T) {
	var logged bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(before)
	const warning = "it makes calls fail"
	x := declare(hauberk.Declaration{Name: "x", Warning: warning})
	chain := hauberk.Must(hauberk.New(hauberk.For("a.B/*", hauberk.Named("risky", x)), hauberk.Func(idle)))
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		if got := chain.Lint(side); len(got) != 1 || got[0] != (hauberk.Finding{Outer: "risky", Message: warning}) {
			t.Errorf("Lint returned %+v", got)
		}
	}
	for method, want := range map[string]string{"a.B/C": warning, "x.Y/Z": ""} {
		e, err := chain.Explain(method)
		if err != nil || e.Steps[0].Warning != want || strings.Contains(e.String(), "warning: "+warning) != (want != "") {
			t.Errorf("Explain returned %v, %v", e, err)
		}
	}
	if logged.Len() > 0 {
		t.Errorf("logged before the chain is attached: %s", logged.String())
	}
	chain.NewServer().Stop()
	chain.ClientConn(hauberktest.Conn{})
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") ||
		!strings.Contains(got, warning) || !strings.Contains(got, "interceptor=risky") {
		t.Errorf("logged %q", got)
	}
}
