package limitsfile

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/authorities"
	"github.com/hauberk-rpc/hauberk/internal/regularfile"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// Redis is a Redis or Valkey with quotas. Its files are not read before Open.
type Redis struct {
	// Config has no passwords.
	Config ratelimitredis.Config
	// PasswordFile and SentinelPasswordFile have the passwords; "" is none.
	PasswordFile, SentinelPasswordFile string
	// TLS is how to connect with TLS; nil does not.
	TLS *TLS
}

// TLS are the settings of connections with TLS, all optional.
type TLS struct {
	// CAFile has the certificates of the authorities in PEM. The default is those of the system.
	CAFile string
	// CertFile and KeyFile are the client's certificate and key in PEM. They are read again when they
	// change.
	CertFile, KeyFile string
	// ServerName is the name in the server's certificate. The default is the host of the address.
	ServerName string
}

func (r *Redis) read(v yamlfile.Value, dir string, shared *ratelimit.Shared) {
	config := &r.Config
	path := func(to *string) func(yamlfile.Value) { return pathIn(dir, to) }
	word := func(what string, to *string) func(yamlfile.Value) {
		return func(v yamlfile.Value) { *to = text(what, v) }
	}
	v.Map("redis", map[string]func(yamlfile.Value){
		"addresses":     func(v yamlfile.Value) { config.Addresses = v.Hidden().Texts("addresses") },
		"name":          word("name", &config.Name),
		"username":      word("username", &config.Username),
		"password_file": path(&r.PasswordFile),
		"db":            func(v yamlfile.Value) { config.DB, _ = v.Int("db", 0, maxDB) },
		"cluster":       func(v yamlfile.Value) { config.Cluster, _ = v.Bool("cluster") },
		"leases": func(v yamlfile.Value) {
			leases, ok := v.Bool("leases")
			config.NoLeases = ok && !leases
		},
		"sentinel": func(v yamlfile.Value) {
			named := false
			v.Map("sentinel", map[string]func(yamlfile.Value){
				"master_name": func(v yamlfile.Value) {
					config.Sentinel.MasterName, named = text("master_name", v), true
				},
				"username":      word("username", &config.Sentinel.Username),
				"password_file": path(&r.SentinelPasswordFile),
			})
			if !named {
				v.Errorf("sentinel has no master_name; want the name of the primary")
			}
		},
		"tls": func(v yamlfile.Value) {
			r.TLS = new(TLS)
			r.TLS.read(v, dir)
		},
		"fail": func(v yamlfile.Value) {
			n, _ := v.OneOf("fail", "local", "open", "closed")
			shared.Fail = ratelimit.FailureMode(max(n, 0))
		},
		"nodes":   func(v yamlfile.Value) { shared.Nodes, _ = v.Int("nodes", 1, maxNodes) },
		"timeout": func(v yamlfile.Value) { shared.Timeout, _ = v.Duration("timeout") },
		"retry":   func(v yamlfile.Value) { shared.RetryStore, _ = v.Duration("retry") },
	})
	r.check(v)
}

const (
	maxDB    = 1 << 20
	maxNodes = 1 << 20
)

// check records what is wrong with the settings together.
func (r *Redis) check(v yamlfile.Value) {
	config := r.Config
	if r.PasswordFile != "" {
		config.Password = "of the file"
	}
	if err := config.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			v.Errorf("redis: %s", line)
		}
	}
	if r.Config.Sentinel.Username != "" && r.SentinelPasswordFile == "" {
		v.Errorf("redis: sentinel has a username without a password_file")
	}
}

func (t *TLS) read(v yamlfile.Value, dir string) {
	v.Map("tls", map[string]func(yamlfile.Value){
		"ca_file":     pathIn(dir, &t.CAFile),
		"cert_file":   pathIn(dir, &t.CertFile),
		"key_file":    pathIn(dir, &t.KeyFile),
		"server_name": func(v yamlfile.Value) { t.ServerName = text("server_name", v) },
	})
	if (t.CertFile == "") != (t.KeyFile == "") {
		v.Errorf("tls has one of cert_file and key_file; want both or none")
	}
}

// pathIn reads the name of a file that is relative to a folder.
func pathIn(dir string, to *string) func(v yamlfile.Value) {
	return func(v yamlfile.Value) {
		if *to, _ = v.Text("the name of a file"); *to != "" && !filepath.IsAbs(*to) {
			*to = filepath.Join(dir, *to)
		}
	}
}

// Open reads the files and returns the store, which begins to connect. The caller calls closeAll at the
// end. An error names the file.
func (r *Redis) Open() (store *ratelimitredis.Store, closeAll func() error, err error) {
	config, release := r.Config, func() {}
	var opts []ratelimitredis.Option
	if r.PasswordFile != "" {
		if _, err := password(r.PasswordFile); err != nil {
			return nil, nil, err
		}
		opts = append(opts, ratelimitredis.WithCredentials(func() (username, secret string, err error) {
			secret, err = password(r.PasswordFile)
			return config.Username, secret, err
		}))
		config.Username = ""
	}
	if r.SentinelPasswordFile != "" {
		if config.Sentinel.Password, err = password(r.SentinelPasswordFile); err != nil {
			return nil, nil, err
		}
	}
	if r.TLS != nil {
		tlsConfig, closePair, err := r.TLS.open()
		if err != nil {
			return nil, nil, err
		}
		opts, release = append(opts, ratelimitredis.WithTLS(tlsConfig)), closePair
	}
	store = ratelimitredis.New(config, opts...)
	return store, func() error {
		defer release()
		return store.Close()
	}, nil
}

// open reads the files. release ends the watching of the client's certificate.
func (t *TLS) open() (config *tls.Config, release func(), err error) {
	config, release = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}, func() {}
	if t.CAFile != "" {
		if config.RootCAs, err = authorities.Read(t.CAFile); err != nil {
			return nil, nil, fmt.Errorf("redis: tls: ca_file: %w", err)
		}
	}
	if t.CertFile != "" {
		pair, err := keypair.Open(keypair.Config{CertFile: t.CertFile, KeyFile: t.KeyFile})
		if err != nil {
			return nil, nil, fmt.Errorf("redis: tls: %w", err)
		}
		config.GetClientCertificate, release = pair.GetClientCertificate, pair.Close
	}
	return config, release, nil
}

// password returns the content of a file without the end of its line.
func password(file string) (string, error) {
	data, err := regularfile.Read(file, regularfile.MaxSize)
	if err != nil {
		return "", fmt.Errorf("redis: password_file: %w", err)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 {
		return "", errors.New("redis: password_file: " + file + " is empty; want a password")
	}
	return string(data), nil
}
