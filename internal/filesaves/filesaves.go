// Package filesaves replaces files as editors, tools and Kubernetes do, for tests of what watches files.
package filesaves

import (
	"errors"
	"os"
	"path/filepath"
)

// Ways returns the ways by name. Each replaces the content of a file that exists, any number of times. The names of
// other files that it makes begin with that of the file or with "..".
func Ways() map[string]func(path, text string) error {
	return map[string]func(path, text string) error{
		"in place": write,
		"renamed": func(path, text string) error {
			return errors.Join(write(path+".new", text), os.Rename(path+".new", path))
		},
		"as vim does": func(path, text string) error {
			return errors.Join(os.Rename(path, path+"~"), write(path, text), os.Remove(path+"~"))
		},
		"removed and made again": func(path, text string) error {
			return errors.Join(os.Remove(path), write(path, text))
		},
		"in two steps": inTwoSteps,
		"a symlink": func(path, text string) error {
			return errors.Join(write(path+".target", text), symlink(path+".target", path))
		},
		"a ConfigMap": configMap,
	}
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// symlink makes a path a symlink, in one step.
func symlink(to, path string) error {
	return errors.Join(os.Symlink(to, path+".sym"), os.Rename(path+".sym", path))
}

func inTwoSteps(path, text string) error {
	half := len(text) / 2
	err := write(path, text[:half])
	file, failed := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if failed != nil {
		return errors.Join(err, failed)
	}
	_, failed = file.WriteString(text[half:])
	return errors.Join(err, failed, file.Close())
}

// configMap replaces the symlink "..data" to a folder, as the kubelet does for a mounted ConfigMap, and removes the
// folder before. The file is a symlink into it.
func configMap(path, text string) error {
	dir, name := filepath.Split(path)
	folder, err := os.MkdirTemp(dir, "..2026")
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "..data")
	before, _ := os.Readlink(data)
	err = errors.Join(write(filepath.Join(folder, name), text), symlink(filepath.Base(folder), data))
	if at, _ := os.Readlink(path); at != filepath.Join("..data", name) {
		err = errors.Join(err, symlink(filepath.Join("..data", name), path))
	}
	if before != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, before)))
	}
	return err
}
