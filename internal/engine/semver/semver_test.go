package semver_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/engine/semver"
)

// The order is that of Semantic Versioning 2.0.0, section 11, with versions of other lengths.
func TestOrder(t *testing.T) {
	ordered := []string{
		"0", "0.0.0.1", "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
		"1.0.0-beta.11", "1.0.0-beta.18446744073709551616", "1.0.0-rc.1", "1", "1.0.1", "1.2.3", "1.10", "2-0", "2",
		"18446744073709551615",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			v, w := parsed(t, a), parsed(t, b)
			want := min(max(i-j, -1), 1)
			if got := v.Compare(w); got != want {
				t.Errorf("%s against %s: %d; want %d", a, b, got, want)
			}
		}
	}
	for _, equal := range []string{"1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0+build.7"} {
		if parsed(t, equal).Compare(parsed(t, "1.0.0")) != 0 {
			t.Errorf("%s is not 1.0.0", equal)
		}
	}
	if got := parsed(t, "v3.14.15-rc.1").MajorMinor(); got != "3.14" {
		t.Error(got)
	}
}

func parsed(t *testing.T, text string) semver.Version {
	t.Helper()
	v, ok := semver.Parse(text)
	if !ok {
		t.Fatalf("%q is no version", text)
	}
	return v
}

func TestNoVersions(t *testing.T) {
	for _, text := range []string{
		"", "v", "x", "1.", ".1", "1..2", "1.2.3.4.5", "01", "1.02", "-1", "+1", "1-", "1+", "1.0-a..b", "1.0-01", "1.0-ä", "1.0+a_b",
		" 1", "1 ", "1\n", "18446744073709551616", "1." + strings.Repeat("1", 63),
	} {
		if v, ok := semver.Parse(text); ok {
			t.Errorf("%q is the version %v", text, v)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, test := range []struct {
		text    string
		in, out []string
	}{
		{"*", []string{"0", "9.9"}, nil},
		{">=1.4, <2", []string{"1.4", "1.4.0", "1.99.3", "2.0.0-rc1"}, []string{"1.3.9", "1.4.0-rc1", "2", "3"}},
		{">1.4,!=1.6", []string{"1.4.1", "1.7"}, []string{"1.4", "1.6.0"}},
		{"=1.2.3", []string{"1.2.3", "1.2.3+b"}, []string{"1.2.4", "1.2.3-a"}},
		{"<1 || >= 2", []string{"0.9", "2.0.0", "1-rc"}, []string{"1", "1.9"}},
		{"<=1.0", []string{"1.0.0"}, []string{"1.0.1"}},
	} {
		r, err := semver.ParseRange(test.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range test.in {
			if !r.Has(parsed(t, v)) {
				t.Errorf("%s does not have %s", test.text, v)
			}
		}
		for _, v := range test.out {
			if r.Has(parsed(t, v)) {
				t.Errorf("%s has %s", test.text, v)
			}
		}
	}
	for _, text := range []string{"", "1.4", ">=", ">=x", ">=1 <2", ">=1,", "~1.4", "* ,>=1", "||"} {
		if _, err := semver.ParseRange(text); err == nil || !strings.Contains(err.Error(), "want an operator and a version") {
			t.Errorf("%q: %v; want an error", text, err)
		}
	}
}

// FuzzCompare holds that the order is total: it is reflexive, antisymmetric and transitive.
func FuzzCompare(f *testing.F) {
	f.Add("1.2.3", "1.2.3-rc.1", "1.2.3-rc.a")
	f.Add("1-1.a", "1-a.1", "1-1")
	f.Add("0", "v0.0", "0+x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		x, okX := semver.Parse(a)
		y, okY := semver.Parse(b)
		z, okZ := semver.Parse(c)
		if !okX || !okY || !okZ {
			return
		}
		if again, _ := semver.Parse(a); x.Compare(again) != 0 || x.Compare(y) != -y.Compare(x) {
			t.Errorf("%q and %q: %d and %d", a, b, x.Compare(y), y.Compare(x))
		}
		if x.Compare(y) <= 0 && y.Compare(z) <= 0 && x.Compare(z) > 0 {
			t.Errorf("%q <= %q <= %q, but not %[1]q <= %[3]q", a, b, c)
		}
	})
}

// FuzzParseRange holds that a range has a version or does not, and that a bad one is an error.
func FuzzParseRange(f *testing.F) {
	f.Add(">=1.4, <2 || =3.0.0-rc.1", "1.5")
	f.Add("*", "0")
	f.Add("!=1", "1")
	f.Fuzz(func(t *testing.T, text, version string) {
		r, err := semver.ParseRange(text)
		v, ok := semver.Parse(version)
		if err != nil || !ok {
			return
		}
		if !strings.Contains(text, "||") && !strings.Contains(text, ",") && !strings.Contains(text, "*") {
			opposite := strings.NewReplacer("!=", "=", ">=", "<", "<=", ">", ">", "<=", "<", ">=", "=", "!=").Replace(text)
			other, err := semver.ParseRange(opposite)
			if err != nil || other.Has(v) == r.Has(v) {
				t.Errorf("%q has %q: %v; %q: %v, %v", text, version, r.Has(v), opposite, other.Has(v), err)
			}
		}
	})
}
