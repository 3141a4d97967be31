package otelenv

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The functions below return what is wrong with a value, as in "NAME is 7; want …".

func isBool(value string) error {
	if strings.EqualFold(value, "true") || strings.EqualFold(value, "false") {
		return nil
	}
	return fmt.Errorf("is %q; want true or false", value)
}

func oneOf(names ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(names, value) {
			return nil
		}
		return fmt.Errorf("is %q; want one of %s", value, strings.Join(names, ", "))
	}
}

func listOf(names ...string) func(string) error {
	one := oneOf(names...)
	return func(value string) error {
		for name := range strings.SplitSeq(value, ",") {
			if one(name) != nil {
				return fmt.Errorf("has %q; want a list, with commas and no spaces, of %s",
					name, strings.Join(names, ", "))
			}
		}
		return nil
	}
}

func within(least, greatest int) func(string) error {
	return func(value string) error {
		if n, err := strconv.Atoi(value); err != nil || n < least || n > greatest {
			return fmt.Errorf("is %q; want a whole number from %d to %d", value, least, greatest)
		}
		return nil
	}
}

// isMillis accepts a duration in milliseconds of at most a day.
func isMillis(value string) error {
	const day = 24 * 60 * 60 * 1000
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > day {
		return fmt.Errorf("is %q; want milliseconds, from 1 to %d", value, day)
	}
	return nil
}

// number returns the value of a variable, or the default if it is not a number.
func number(name string, byDefault int) int {
	n, err := strconv.Atoi(get(name))
	if err != nil {
		return byDefault
	}
	return n
}

func isRatio(value string) error {
	if r, err := strconv.ParseFloat(value, 64); err == nil && r >= 0 && r <= 1 {
		return nil
	}
	return fmt.Errorf("is %q; want a number from 0 to 1", value)
}

// isEndpoint accepts the URLs that both protocols accept, and gRPC's unix URLs. The error
// does not contain a value that may have a password.
func isEndpoint(value string) error {
	const want = "want a URL such as http://localhost:4317"
	if strings.Contains(value, "@") {
		return errors.New("has a user or a password; " + want + ", and secrets in OTEL_EXPORTER_OTLP_HEADERS")
	}
	u, err := url.Parse(value)
	if err != nil {
		return fmt.Errorf("is %q; %s", value, want)
	}
	network := (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
	if !network && (u.Scheme != "unix" || u.Path == "") {
		return fmt.Errorf("is %q; %s", value, want)
	}
	return nil
}

// isHeaders accepts a list of headers. The error does not contain the value, which may be
// secret.
func isHeaders(value string) error {
	for i, pair := range slices.Collect(strings.SplitSeq(value, ",")) {
		name, text, ok := strings.Cut(pair, "=")
		_, err := url.PathUnescape(text)
		if !ok || err != nil || !isToken(strings.TrimSpace(name)) {
			return fmt.Errorf("is wrong at entry %d; want name=value,name=value with values percent-encoded", i+1)
		}
	}
	return nil
}

// isToken reports whether a name is a valid HTTP header name, RFC 9110 section 5.6.2.
func isToken(name string) bool {
	invalid := func(c rune) bool {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	}
	return name != "" && !strings.ContainsFunc(name, invalid)
}

func isResource(value string) error {
	for pair := range strings.SplitSeq(value, ",") {
		name, text, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(text); !ok || err != nil || strings.TrimSpace(name) == "" {
			return fmt.Errorf("has %q; want name=value,name=value with values percent-encoded", pair)
		}
	}
	return nil
}

func isCertificate(file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot be read: %w; want a file of certificates in PEM", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("is %q, which has no certificate; want a file of certificates in PEM", file)
	}
	return nil
}

// checkKeyPair checks the files of a client's certificate and its key.
func checkKeyPair(certificate, key string) error {
	cert, secret := get(certificate), get(key)
	switch {
	case cert == "" && secret == "":
		return nil
	case cert == "" || secret == "":
		return fmt.Errorf("%s and %s must be set together; want both or none", certificate, key)
	}
	if _, err := tls.LoadX509KeyPair(cert, secret); err != nil {
		return fmt.Errorf("%s and %s cannot be used: %w", certificate, key, err)
	}
	return nil
}
