package grafana_test

import (
	"encoding/json"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// dashboard contains the fields of dashboard.json that the tests read.
type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	Targets []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	d := &dashboard{}
	if err := json.Unmarshal(data, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// interpolate replaces the variables as Grafana does if All is selected.
func interpolate(query, side string) string {
	return strings.NewReplacer("${side}", side, "$side", side, "$job", ".*", "$service", ".*", "$method", ".*",
		"$__rate_interval", "5m").Replace(query)
}

var variable = regexp.MustCompile(`\$\{?\w+`)

// Each panel queries metrics that the demo exports, has results on at least one side, and
// names its series by labels that they have.
func TestDashboardQueries(t *testing.T) {
	d, all := readDashboard(t), scraped(t)
	have := catalogOf(all[len(all)-1])
	server, end := filled(t, all)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			t.Run(p.Title+" "+target.RefID, func(t *testing.T) {
				found := 0
				for _, side := range []string{"server", "client"} {
					query := interpolate(target.Expr, side)
					if left := variable.FindString(query); left != "" {
						t.Fatalf("%s is not a variable of the dashboard, in %s", left, target.Expr)
					}
					kept, err := have.check(query)
					if err != nil {
						t.Errorf("%v in %s", err, query)
					}
					checkNames(t, target.LegendFormat, legend, kept)
					found += numbers(server.query(t, query, end))
				}
				if found == 0 {
					t.Errorf("no results of %s", target.Expr)
				}
			})
		}
	}
}

// Panels of failures show 0 if no series of failures exists. "No data" would look like a
// target that is not scraped.
func TestDashboardWithoutFailures(t *testing.T) {
	server, now := newPrometheus(), time.Unix(1_700_000_000, 0)
	counters := []counter{handled("OK", 60), {`hauberk_decisions_total{interceptor="authn",mode="enforced",side="server",verdict="allowed"}`, []float64{60}}}
	for minute := range 10 {
		now = now.Add(time.Minute)
		server.add(now, valuesAt(t, counters, minute))
	}
	shares := []string{"Failed", "Share of calls that failed", "Share rejected by each interceptor"}
	for _, p := range readDashboard(t).Panels {
		i := slices.Index(shares, p.Title)
		if i < 0 {
			continue
		}
		shares = slices.Delete(shares, i, i+1)
		if got := server.query(t, interpolate(p.Targets[0].Expr, "server"), now); len(got) != 1 || got[0].value != 0 {
			t.Errorf("%s: %v; want 0", p.Title, got)
		}
	}
	if len(shares) > 0 {
		t.Errorf("there are no panels %q", shares)
	}
}

// filled returns a server with the scrapes at times that span more than the hour that alerts
// look back.
func filled(t *testing.T, all [][]sample) (server *prometheus, end time.Time) {
	t.Helper()
	end = time.Unix(1_700_000_000, 0)
	server = newPrometheus()
	for i, minutesAgo := range []int{64, 61, 9, 2, 0} {
		server.add(end.Add(time.Duration(-minutesAgo)*time.Minute), all[i])
	}
	return server, end
}

// numbers counts the samples that are numbers.
func numbers(samples []sample) (n int) {
	for _, s := range samples {
		if !math.IsNaN(s.value) && !math.IsInf(s.value, 0) {
			n++
		}
	}
	return n
}

var legend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// checkNames checks that the labels named in a text exist.
func checkNames(t *testing.T, text string, pattern *regexp.Regexp, have names) {
	t.Helper()
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		if !have[m[1]] {
			t.Errorf("%q names the label %q; there are %v", text, m[1], sorted(have))
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// The variables are those that the queries use, and their labels exist.
func TestDashboardVariables(t *testing.T) {
	d, all := readDashboard(t), scraped(t)
	have := catalogOf(all[len(all)-1])
	var got []string
	for _, v := range d.Templating.List {
		got = append(got, v.Name)
		if v.Type != "query" {
			continue
		}
		m := labelValues.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Errorf("%s is %q; want label_values(…)", v.Name, v.Definition)
			continue
		}
		for _, side := range []string{"server", "client"} {
			kept, err := have.check(interpolate(m[1], side))
			if err != nil || !kept[m[2]] {
				t.Errorf("%s: %v, and labels %v in %s", v.Name, err, sorted(kept), v.Definition)
			}
		}
	}
	if want := []string{"datasource", "side", "job", "service", "method"}; !slices.Equal(got, want) {
		t.Errorf("variables %v; want %v", got, want)
	}
}

// The panels have distinct ids, do not overlap, and have a data source.
func TestDashboardLayout(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("uid %q, title %q, schemaVersion %d", d.UID, d.Title, d.SchemaVersion)
	}
	ids := make(map[int]bool)
	cells := make(map[[2]int]string)
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := cells[cell]; taken || cell[0] >= 24 {
					t.Fatalf("%q overlaps %q, or is outside, at %v", p.Title, other, cell)
				}
				cells[cell] = p.Title
			}
		}
		if p.Type != "row" && (p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || p.Description == "") {
			t.Errorf("%q has the source %q, %d queries and the description %q",
				p.Title, p.Datasource.UID, len(p.Targets), p.Description)
		}
	}
}
