package attacks_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"
)

// updatingConn is a connection with TLS 1.3 that can send KeyUpdate messages, which crypto/tls does
// not. crypto/tls does the handshake and reads; the records of the client are written here (RFC
// 8446, 5.2 and 7.2).
type updatingConn struct {
	*tls.Conn

	raw    net.Conn
	hash   crypto.Hash
	keyLen int
	secret []byte // of the client's traffic
	aead   cipher.AEAD
	iv     []byte
	seq    uint64 // of the next record
}

func dialUpdating(t *testing.T, addr string) *updatingConn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var keyLog strings.Builder
	config := tlsClient(nil)
	config.MinVersion, config.KeyLogWriter = tls.VersionTLS13, &keyLog
	c := &updatingConn{Conn: tls.Client(raw, config), raw: raw}
	t.Cleanup(func() { _ = raw.Close() })
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	switch suite := c.ConnectionState().CipherSuite; suite {
	case tls.TLS_AES_128_GCM_SHA256:
		c.hash, c.keyLen = crypto.SHA256, 16
	case tls.TLS_AES_256_GCM_SHA384:
		c.hash, c.keyLen = crypto.SHA384, 32
	default: // of processors without AES
		t.Skipf("the test cannot write records of %s", tls.CipherSuiteName(suite))
	}
	_, line, _ := strings.Cut(keyLog.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	c.secret = must(hex.DecodeString(strings.Fields(line)[1])) // behind the client's random
	c.rekey()
	return c
}

// expand is HKDF-Expand-Label.
func (c *updatingConn) expand(label string, length int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len("tls13 "+label)))
	info = append(info, "tls13 "+label+"\x00"...)
	return must(hkdf.Expand(c.hash.New, c.secret, string(info), length))
}

func (c *updatingConn) rekey() {
	c.aead = must(cipher.NewGCM(must(aes.NewCipher(c.expand("key", c.keyLen)))))
	c.iv, c.seq = c.expand("iv", 12), 0
}

// record writes one record.
func (c *updatingConn) record(kind byte, data []byte) error {
	inner := append(append([]byte{}, data...), kind)
	header := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+c.aead.Overhead()))
	nonce := append([]byte{}, c.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(c.seq >> (56 - 8*i))
	}
	c.seq++
	_, err := c.raw.Write(c.aead.Seal(header, nonce, inner, header))
	return err
}

// Write sends application data.
func (c *updatingConn) Write(data []byte) (int, error) {
	for sent := 0; sent < len(data); {
		part := data[sent:min(len(data), sent+1<<14)]
		if err := c.record(23, part); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return len(data), nil
}

// update sends a KeyUpdate, and uses the next key from then on. If requested, the server has to
// answer with one.
func (c *updatingConn) update(requested bool) error {
	message := []byte{24, 0, 0, 1, 0}
	if requested {
		message[4] = 1
	}
	if err := c.record(22, message); err != nil {
		return err
	}
	c.secret = c.expand("traffic upd", c.hash.Size())
	c.rekey()
	return nil
}

// Close closes the connection without an alert, which would have a wrong key.
func (c *updatingConn) Close() error { return c.raw.Close() }
