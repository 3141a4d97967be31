package catalog

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// AuditFiles are the audit files that policies have open. A file has one writer, which the entries with the same
// settings share: those of a policy, of the one before and of the one after. The zero value has none. Safe for
// concurrent use.
type AuditFiles struct {
	mu   sync.Mutex // held to open and close files
	open map[string]*auditFile
}

// auditFile is a file with the number of interceptors that write to it.
type auditFile struct {
	*audit.File

	config audit.FileConfig
	uses   int
}

// Open returns the file with a path. It is closed when release was called for each Open.
func (a *AuditFiles) Open(config audit.FileConfig) (file *audit.File, release func() error, err error) {
	path, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.open[path]
	switch {
	case f == nil:
		opened, err := audit.OpenFile(config)
		if err != nil {
			return nil, nil, err
		}
		f = &auditFile{File: opened, config: config}
		if a.open == nil {
			a.open = make(map[string]*auditFile)
		}
		a.open[path] = f
	case f.config != config:
		return nil, nil, fmt.Errorf("%s is open with other settings of file; keep the settings, choose another path, "+
			"or restart the program", config.Path)
	}
	f.uses++
	return f.File, func() error { return a.release(path, f) }, nil
}

func (a *AuditFiles) release(path string, f *auditFile) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.uses--
	if f.uses > 0 {
		return nil
	}
	delete(a.open, path)
	return f.Close()
}
