package ratelimitrls

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// descriptor returns the descriptor of a demand, without its hits.
func (l *limit) descriptor(d *ratelimit.Demand) *ratelimitv3.RateLimitDescriptor {
	last := &ratelimitv3.RateLimitDescriptor_Entry{Key: l.key}
	if d.Peer {
		last.Key, last.Value = l.peerKey, peerText(d.Key)
	} else {
		last.Value = keyText(d.Key)
	}
	entries := make([]*ratelimitv3.RateLimitDescriptor_Entry, 0, len(l.entries)+1)
	return &ratelimitv3.RateLimitDescriptor{Entries: append(append(entries, l.entries...), last), Limit: l.override}
}

// maxPlain is the length of the longest key that is sent unchanged, in bytes.
const maxPlain = 256

// What the values begin with that are not keys unchanged.
const (
	isBase64 = "base64:"
	isDigest = "sha256:"
	isText   = "text:"
)

// keyText returns the value of a key. Different keys have different values.
func keyText(key []byte) string {
	text := string(key)
	switch {
	case len(text) > maxPlain:
		sum := sha256.Sum256(key)
		return isDigest + hex.EncodeToString(sum[:])
	case text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) ||
		strings.HasPrefix(text, isBase64) || strings.HasPrefix(text, isDigest):
		return isBase64 + base64.StdEncoding.EncodeToString(key)
	default:
		return text
	}
}

// peerText returns the value of the key of a peer: its address, its text, or "none".
func peerText(key []byte) string {
	name := callkey.PeerName(string(key))
	switch {
	case name == "":
		return "none"
	case bytes.HasSuffix(key, []byte(name)): // a text may look like an address
		return isText + keyText([]byte(name))
	default:
		return name
	}
}
