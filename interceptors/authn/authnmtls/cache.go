package authnmtls

import (
	"crypto/x509"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// cache keeps the identities of certificates that were accepted. Connections with the same
// certificate share its memory in crypto/tls, so its address identifies it.
//
// mu guards certificates. Safe for concurrent use.
type cache struct {
	size int

	mu           sync.RWMutex
	certificates map[*x509.Certificate]kept
}

type kept struct {
	identity *authn.Identity
	until    time.Time
}

const defaultCertificates = 4096

func newCache(size int) *cache {
	if size <= 0 {
		size = defaultCertificates
	}
	return &cache{size: size, certificates: make(map[*x509.Certificate]kept)}
}

// get returns the identity of a certificate, or nil.
func (c *cache) get(leaf *x509.Certificate) *authn.Identity {
	c.mu.RLock()
	entry := c.certificates[leaf]
	c.mu.RUnlock()
	if entry.identity == nil || !time.Now().Before(entry.until) {
		return nil
	}
	return entry.identity
}

// put keeps an identity. If the cache is full it removes what has expired, or else everything.
func (c *cache) put(leaf *x509.Certificate, id *authn.Identity, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); len(c.certificates) >= c.size {
		for other, entry := range c.certificates {
			if !now.Before(entry.until) {
				delete(c.certificates, other)
			}
		}
		if len(c.certificates) >= c.size {
			clear(c.certificates)
		}
	}
	c.certificates[leaf] = kept{id, until}
}
