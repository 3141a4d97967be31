// Package webtest sends the requests of tests to listeners of package web.
package webtest

import (
	"io"
	"net/http"
	"testing"
)

// Request returns a request without a body, which is sent on a new connection.
func Request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	return req
}

// Do sends a request, and returns the response with its body.
func Do(t *testing.T, client *http.Client, req *http.Request) (resp *http.Response, body string) {
	t.Helper()
	resp, err := client.Do(req) //nolint:gosec // to the listener of a test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}
