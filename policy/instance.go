package policy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
)

// instance is an interceptor that policies share.
type instance struct {
	interceptor hauberk.Interceptor
	build       *catalog.Build
	content     string // of the settings that it was made of

	mu   sync.Mutex
	uses int // policies that have it
}

// keep adds a use. It reports false for an instance that is closed.
func (i *instance) keep() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.uses == 0 {
		return false
	}
	i.uses++
	return true
}

// release removes a use, and closes the instance with the last one. nil is an entry that is off.
func (i *instance) release() error {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.uses--
	if i.uses > 0 {
		return nil
	}
	return i.build.Close()
}

// salt makes hashes of secrets useless outside of the process.
var salt = sync.OnceValue(rand.Text) //nolint:gochecknoglobals // made once

// canonical writes a value so that equal values have equal texts. Keys of the outermost map that skip reports
// are left out.
func canonical(b *strings.Builder, v yamlfile.Value, skip func(key string) bool) {
	switch v.Kind() {
	case yamlfile.Mapping:
		var pairs []string
		for key, value := range v.Pairs() {
			if skip != nil && skip(key.Raw()) {
				continue
			}
			var pair strings.Builder
			pair.WriteString(strconv.Quote(key.Raw()) + ":")
			canonical(&pair, value, nil)
			pairs = append(pairs, pair.String())
		}
		slices.Sort(pairs)
		b.WriteString("{" + strings.Join(pairs, ",") + "}")
	case yamlfile.Sequence:
		b.WriteByte('[')
		for _, item := range v.Items() {
			canonical(b, item, nil)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	default:
		b.WriteString(v.Type() + strconv.Quote(v.Raw()))
	}
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// contentHash is the hash of an entry as it is written.
func (e *entry) contentHash() string {
	var b strings.Builder
	canonical(&b, e.value, func(key string) bool { return key == "id" })
	return hash(e.Side.String(), b.String())
}

// contentOf returns what an instance is made of: the settings, the secrets, and what the chain adds.
func (e *entry) contentOf(dir string) string {
	var b strings.Builder
	canonical(&b, e.value, func(key string) bool {
		return key == "id" || key == "except" || key == "mode" || key == "methods" && !e.row.TakesMethods()
	})
	return hash(append([]string{
		e.Side.String(), dir, b.String(), salt(), fmt.Sprint(e.build.RequestID, e.build.Traced),
	}, e.decoder.Secrets...)...)
}

// kept returns the instance of the previous policy for an entry, or nil. Each is returned once.
func (r *reader) kept(e *entry) *instance {
	p := r.previous
	if p == nil {
		return nil
	}
	for i := range p.entries {
		old, x := &p.entries[i], p.instances[i]
		if x == nil || r.taken[x] || x.build.Stale() || old.Side != e.Side || old.ID != e.ID || x.content != e.content {
			continue
		}
		if x.keep() {
			r.taken[x] = true
			return x
		}
	}
	return nil
}
