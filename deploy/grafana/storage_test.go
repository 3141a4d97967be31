package grafana_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	engine "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// prometheus is Prometheus' engine with an in-memory storage. The storage implements only
// what these tests need and has fewer dependencies than Prometheus' own.
type prometheus struct {
	engine *engine.Engine
	series map[uint64]*series // by the hash of their labels
}

type series struct {
	labels labels.Labels
	points []chunks.Sample // in ascending order of time
}

func newPrometheus() *prometheus {
	return &prometheus{
		engine: engine.NewEngine(engine.EngineOpts{
			MaxSamples: 1_000_000, Timeout: patience, EnableAtModifier: true, EnableNegativeOffset: true,
		}),
		series: make(map[uint64]*series),
	}
}

// add adds samples. They must be later than earlier ones.
func (p *prometheus) add(at time.Time, samples []sample) {
	for _, s := range samples {
		hash := s.labels.Hash()
		if p.series[hash] == nil {
			p.series[hash] = &series{labels: s.labels}
		}
		p.series[hash].points = append(p.series[hash].points, point{at.UnixMilli(), s.value})
	}
}

// query returns the result of a query. Errors and warnings fail the test.
func (p *prometheus) query(t *testing.T, query string, at time.Time) (all []sample) {
	t.Helper()
	q, err := p.engine.NewInstantQuery(t.Context(), p, nil, query, at)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	vector, err := result.Vector()
	if err != nil || len(result.Warnings) > 0 {
		t.Fatalf("%v, %v in %s", err, result.Warnings, query)
	}
	for _, s := range vector {
		all = append(all, sample{s.Metric, s.F})
	}
	return all
}

// record evaluates the recording rules in order.
func (p *prometheus) record(t *testing.T, rules []rule, at time.Time) {
	t.Helper()
	for _, r := range rules {
		if r.Record == "" {
			continue
		}
		recorded := p.query(t, r.Expr, at)
		for i, s := range recorded {
			recorded[i].labels = labels.NewBuilder(s.labels).Set(model.MetricNameLabel, r.Record).Labels()
		}
		p.add(at, recorded)
	}
}

// Querier makes it a storage.Queryable.
func (p *prometheus) Querier(from, to int64) (storage.Querier, error) {
	return querier{storage.NoopQuerier(), p, from, to}, nil
}

type querier struct {
	storage.Querier

	prometheus *prometheus
	from, to   int64
}

// Select returns the series that match.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{}
	for _, s := range q.prometheus.series {
		if !matches(s.labels, matchers) {
			continue
		}
		first, _ := slices.BinarySearchFunc(s.points, q.from, byTime)
		end, _ := slices.BinarySearchFunc(s.points, q.to+1, byTime)
		set.series = append(set.series, storage.NewListSeries(s.labels, s.points[first:end]))
	}
	slices.SortFunc(set.series, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return set
}

func byTime(p chunks.Sample, t int64) int { return int(p.T() - t) }

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}

// seriesSet is a storage.SeriesSet of a list.
type seriesSet struct {
	series []storage.Series
	next   int
}

func (s *seriesSet) Next() bool                      { s.next++; return s.next <= len(s.series) }
func (s *seriesSet) At() storage.Series              { return s.series[s.next-1] }
func (*seriesSet) Err() error                        { return nil }
func (*seriesSet) Warnings() annotations.Annotations { return nil }

// point is a chunks.Sample that is a number.
type point struct {
	t int64
	v float64
}

func (p point) T() int64                    { return p.t }
func (point) ST() int64                     { return 0 }
func (p point) F() float64                  { return p.v }
func (point) H() *histogram.Histogram       { return nil }
func (point) FH() *histogram.FloatHistogram { return nil }
func (point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample         { return p }
