package frametransport

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
)

// The client of the gateway gets the status that the protocol assigns to what the upstream
// does.
func TestAnswersOfTheUpstream(t *testing.T) {
	grpcHeader := []string{":status", "200", "content-type", "application/grpc"}
	trailer := func(more ...string) func(*raw) {
		return func(r *raw) {
			_ = r.headers(1, false, grpcHeader...)
			_ = r.headers(1, true, more...)
		}
	}
	only := func(more ...string) func(*raw) {
		return func(r *raw) { _ = r.headers(1, true, append(grpcHeader[:4:4], more...)...) }
	}
	reset := func(code http2.ErrCode) func(*raw) {
		return func(r *raw) { _ = r.WriteRSTStream(1, code) }
	}
	httpStatus := func(status string) func(*raw) {
		return func(r *raw) { _ = r.headers(1, true, ":status", status, "content-type", "text/html") }
	}
	message := strings.Repeat("x", 100_000)
	tests := []struct {
		name string
		send func(*raw)
		want map[string]string // "~" before a part of the value
	}{
		{"OK", trailer("grpc-status", "0"), map[string]string{"grpc-status": "0", "grpc-message": ""}},
		{"trailers only", only("grpc-status", "5", "grpc-message", "no"), map[string]string{"grpc-status": "5", "grpc-message": "no"}},
		{"a message as it is encoded", trailer("grpc-status", "9", "grpc-message", "a%c3%BC b%"), map[string]string{"grpc-message": "a%c3%BC b%"}},
		{
			"details as they are encoded", trailer("grpc-status", "9", "grpc-status-details-bin", "CAk="),
			map[string]string{"grpc-status": "9", "grpc-status-details-bin": "CAk="},
		},
		{"an unknown code", trailer("grpc-status", "77"), map[string]string{"grpc-status": "77"}},
		{"a status that is no number", trailer("grpc-status", "abc"), map[string]string{"grpc-status": "2"}},
		{"no status", trailer("x", "y"), map[string]string{"grpc-status": "2"}},
		{"no trailer", func(r *raw) {
			_ = r.headers(1, false, grpcHeader...)
			_ = r.WriteData(1, true, nil)
		}, map[string]string{"grpc-status": "13"}},
		{"100 and 103 before", func(r *raw) {
			_ = r.headers(1, false, ":status", "100")
			_ = r.headers(1, false, ":status", "103", "x-early", "x")
			trailer("grpc-status", "0")(r)
		}, map[string]string{"grpc-status": "0", "x-early": ""}},
		{"padding", func(r *raw) {
			_ = r.headers(1, false, grpcHeader...)
			_ = r.WriteDataPadded(1, false, []byte{0, 0, 0, 0, 1, 'x'}, make([]byte, 99))
			_ = r.headers(1, true, "grpc-status", "0")
		}, map[string]string{"grpc-status": "0"}},
		{"a large message of the status", trailer("grpc-status", "9", "grpc-message", message), map[string]string{
			"grpc-status": "9", "grpc-message": "~shortened",
		}},
		{"large trailers", trailer("grpc-status", "0", "x", message), map[string]string{"grpc-status": "0", "x": ""}},
		{"a large header", func(r *raw) {
			_ = r.headers(1, false, append(grpcHeader[:4:4], "x", message[:50_000])...)
		}, map[string]string{"grpc-status": "8"}},
		{"a message above the limit", func(r *raw) {
			_ = r.headers(1, false, grpcHeader...)
			_ = r.WriteData(1, false, []byte{0, 0xff, 0xff, 0xff, 0xff})
		}, map[string]string{"grpc-status": "8", "grpc-message": "~4294967295 bytes"}},
		{"a wrong flag", func(r *raw) {
			_ = r.headers(1, false, grpcHeader...)
			_ = r.WriteData(1, false, []byte{7, 0, 0, 0, 0})
		}, map[string]string{"grpc-status": "13"}},
		{"another content-type", func(r *raw) {
			_ = r.headers(1, false, ":status", "200", "content-type", "text/html")
		}, map[string]string{"grpc-status": "2", "grpc-message": "~text/html"}},
		{"400", httpStatus("400"), map[string]string{"grpc-status": "13"}},
		{"401", httpStatus("401"), map[string]string{"grpc-status": "16"}},
		{"403", httpStatus("403"), map[string]string{"grpc-status": "7"}},
		{"404", httpStatus("404"), map[string]string{"grpc-status": "12"}},
		{"503", httpStatus("503"), map[string]string{"grpc-status": "14"}},
		{"500", httpStatus("500"), map[string]string{"grpc-status": "2"}},
		{"NO_ERROR", reset(http2.ErrCodeNo), map[string]string{"grpc-status": "13"}},
		{"INTERNAL_ERROR", reset(http2.ErrCodeInternal), map[string]string{"grpc-status": "13"}},
		{"CANCEL", reset(http2.ErrCodeCancel), map[string]string{"grpc-status": "1"}},
		{"ENHANCE_YOUR_CALM", reset(http2.ErrCodeEnhanceYourCalm), map[string]string{"grpc-status": "8"}},
		{"INADEQUATE_SECURITY", reset(http2.ErrCodeInadequateSecurity), map[string]string{"grpc-status": "7"}},
		{"an answer, then NO_ERROR", func(r *raw) {
			trailer("grpc-status", "0")(r)
			_ = r.WriteRSTStream(1, http2.ErrCodeNo)
		}, map[string]string{"grpc-status": "0"}},
		{"an answer, then a lost connection", func(r *raw) {
			trailer("grpc-status", "0")(r)
			_ = r.conn.Close()
		}, map[string]string{"grpc-status": "0"}},
		{"an answer, then GOAWAY", func(r *raw) {
			trailer("grpc-status", "0")(r)
			_ = r.WriteGoAway(0, http2.ErrCodeInternal, nil)
			_ = r.conn.Close()
		}, map[string]string{"grpc-status": "0"}},
		{"a reset after the header", func(r *raw) {
			_ = r.headers(1, false, grpcHeader...)
			_ = r.WriteRSTStream(1, http2.ErrCodeCancel)
		}, map[string]string{"grpc-status": "1"}},
		{"GOAWAY below the call", func(r *raw) { _ = r.WriteGoAway(0, http2.ErrCodeNo, nil) }, map[string]string{"grpc-status": "14"}},
		{"a lost connection", func(r *raw) { _ = r.conn.Close() }, map[string]string{"grpc-status": "14"}},
		{"HTTP/1.1", func(r *raw) { _, _ = r.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, map[string]string{"grpc-status": "14"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				n := w.start(t, Config{Upstream: h2.Config{HeaderListSize: 40_000}})
				n.upstream(func(r *raw, f http2.Frame) {
					if f, ok := f.(*http2.MetaHeadersFrame); ok && f.StreamID == 1 {
						tt.send(r)
					}
				})
				client := n.client(t)
				if err := client.headers(1, false, request()...); err != nil {
					t.Fatal(err)
				}
				res := client.await(1)
				if res.isReset || res.http != "200" {
					t.Errorf("reset %v with %s, HTTP %s", res.isReset, res.reset, res.http)
				}
				for key, want := range tt.want {
					part, found := strings.CutPrefix(want, "~")
					if got := res.fields[key]; found && !strings.Contains(got, part) || !found && got != want {
						t.Errorf("%s is %.100q, want %q", key, got, want)
					}
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}

// The upstream receives the client's authority. If that is empty, as from a client of grpc-go with a target such as
// "scheme:///", it receives the target's, as grpc-go sends it.
func TestAuthority(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		want   string
	}{
		{"authority", request(), "shop"},
		{"the same host", request("host", "shop"), "shop"},
		{"host", append(omit(":authority"), "host", "shop"), "shop"},
		{"empty", omit(":authority", ""), "backend"},
		{"empty, host", append(omit(":authority", ""), "host", "shop"), "shop"},
		{"empty host", append(omit(":authority"), "host", ""), "backend"},
		{"both empty", append(omit(":authority", ""), "host", ""), "backend"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				n := w.start(t, Config{})
				n.upstream(func(r *raw, f http2.Frame) {
					h, ok := f.(*http2.MetaHeadersFrame)
					if !ok {
						return
					}
					var got []string
					for _, f := range h.Fields {
						if f.Name == ":authority" || f.Name == "host" {
							got = append(got, f.Name, f.Value)
						}
					}
					_ = r.headers(h.StreamID, true,
						":status", "200", "content-type", "application/grpc", "grpc-status", "0", "got", strings.Join(got, " "))
				})
				client := n.client(t)
				if err := client.headers(1, true, tt.header...); err != nil {
					t.Fatal(err)
				}
				if res := client.await(1); res.fields["got"] != ":authority "+tt.want {
					t.Errorf("%+v, want the authority %q", res, tt.want)
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}

// omit is a header list of a request without a key, or with another value of a pseudo header.
func omit(key string, value ...string) []string {
	var pairs []string
	all := request()
	for i := 0; i < len(all); i += 2 {
		if all[i] != key {
			pairs = append(pairs, all[i], all[i+1])
		} else if len(value) > 0 {
			pairs = append(pairs, key, value[0])
		}
	}
	return pairs
}

// Requests that are not gRPC's do not reach the upstream.
func TestRequestsThatAreRejected(t *testing.T) {
	tests := []struct {
		name         string
		header       []string
		http, status string // "" is a reset
	}{
		{"GET", omit(":method", "GET"), "405", "13"},
		{"no content-type", omit("content-type"), "415", "2"},
		{"JSON", append(omit("content-type"), "content-type", "application/json"), "415", "2"},
		{"a similar content-type", append(omit("content-type"), "content-type", "application/grpcx"), "415", "2"},
		{"no authority", omit(":authority"), "400", "13"},
		{"another host", request("host", "other"), "400", "13"},
		{"an empty host", request("host", ""), "400", "13"},
		{"two hosts", append(omit(":authority"), "host", "a", "host", "a"), "400", "13"},
		{"connection", request("connection", "close"), "", ""},
		{"connection, no content-type", append(omit("content-type"), "connection", "close"), "", ""},
		{"transfer-encoding", request("transfer-encoding", "chunked"), "", ""},
		{"a path without a slash", omit(":path", "shop.v1.Shop/Buy"), "200", "12"},
		{"a path with one slash", omit(":path", "/shop"), "200", "12"},
		{"an empty timeout", request("grpc-timeout", ""), "400", "13"},
		{"a timeout without a unit", request("grpc-timeout", "1"), "400", "13"},
		{"a negative timeout", request("grpc-timeout", "-1S"), "400", "13"},
		{"a timeout of 9 digits", request("grpc-timeout", "123456789S"), "400", "13"},
		{"an unknown unit", request("grpc-timeout", "1x"), "400", "13"},
		{"two timeouts", request("grpc-timeout", "1S", "grpc-timeout", "2S"), "400", "13"},
		{"no time", request("grpc-timeout", "0n"), "200", "4"},
		{"not base64", request("x-bin", "*"), "400", "13"},
		{"a large header", request("x", strings.Repeat("v", 20_000)), "200", "8"},
		{"a very large header", request("x", strings.Repeat("v", 60_000)), "200", "8"},
		{"two paths", request(":path", "/a/b"), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				n := w.start(t, Config{})
				n.upstream(func(_ *raw, f http2.Frame) {
					if _, ok := f.(*http2.MetaHeadersFrame); ok {
						t.Error("the request reached the upstream")
					}
				})
				client := n.client(t)
				if err := client.headers(1, false, tt.header...); err != nil {
					t.Fatal(err)
				}
				res := client.await(1)
				if res.isReset != (tt.http == "") || res.http != tt.http || res.fields["grpc-status"] != tt.status {
					t.Errorf("%+v, want HTTP %q and status %q", res, tt.http, tt.status)
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}
