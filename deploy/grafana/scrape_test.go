package grafana_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// patience is the time after which a test that hangs fails.
const patience = 2 * time.Minute

// sample is a series of a scrape, with the labels that Prometheus adds.
type sample struct {
	labels labels.Labels
	value  float64
}

// scrapes returns several scrapes of a running demo. All counters increase from each scrape to
// the next.
var scrapes = sync.OnceValues(func() ([][]sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "hauberk-grafana")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "hauberk")
	if out, err := exec.CommandContext(ctx, "go", "-C", "../..", "build", "-o", binary, "./cmd/hauberk").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return watch(ctx, exec.CommandContext(ctx, binary, "demo", "--json", "--rate", "1000"))
})

// watch runs a demo, scrapes it a few times, and ends it.
func watch(ctx context.Context, demo *exec.Cmd) (all [][]sample, err error) {
	said, err := demo.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := demo.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = demo.Process.Signal(syscall.SIGTERM)
		err = errors.Join(err, demo.Wait()) // the demo must exit without an error
	}()
	url := regexp.MustCompile(`^Its metrics are at (\S+)\.$`)
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if m := url.FindStringSubmatch(lines.Text()); m != nil {
			return several(ctx, m[1])
		}
	}
	return nil, errors.New("the demo does not print the address of its metrics")
}

// several returns scrapes that are at least one round of the demo's scenarios apart. A round
// increases all counters.
func several(ctx context.Context, url string) (all [][]sample, err error) {
	const wanted, round = 5, 150 // calls that the server has seen
	for last := 0.0; len(all) < wanted; {
		now, err := scrape(ctx, url)
		if err != nil {
			return nil, err
		}
		if calls := total(now, "grpc_server_handled_total"); calls >= last+round {
			all, last = append(all, now), calls
		}
	}
	return all, nil
}

func total(samples []sample, name string) (sum float64) {
	for _, s := range samples {
		if s.labels.Get(model.MetricNameLabel) == name {
			sum += s.value
		}
	}
	return sum
}

func scrape(ctx context.Context, url string) ([]sample, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s, %w", url, resp.Status, err)
	}
	return parse(body, resp.Header.Get("Content-Type"))
}

// parse parses an exposition with Prometheus' parser.
func parse(body []byte, contentType string) (all []sample, err error) {
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case entry != textparse.EntrySeries:
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, _, value := p.Series()
		b := labels.NewBuilder(l)
		b.Set("job", "shop").Set("instance", "127.0.0.1:9464")
		all = append(all, sample{b.Labels(), value})
	}
}

func scraped(t *testing.T) [][]sample {
	t.Helper()
	all, err := scrapes()
	if err != nil {
		t.Fatal(err)
	}
	return all
}
