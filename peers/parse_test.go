package main

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func verdicts(r results) map[string]verdict {
	v := make(map[string]verdict)
	for name, o := range r {
		v[name] = o.verdict
	}
	return v
}

func TestEventsOfGoTest(t *testing.T) {
	r, text := parseEvents([]byte(`{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"Test"}
{"Action":"run","Package":"p","Test":"Test/A"}
{"Action":"output","Package":"p","Test":"Test/A","Output":"why\n"}
{"Action":"fail","Package":"p","Test":"Test/A","Elapsed":1.5}
{"Action":"run","Package":"p","Test":"Test/B"}
{"Action":"pass","Package":"p","Test":"Test/B","Elapsed":0.25}
{"Action":"run","Package":"p","Test":"Test/C"}
{"Action":"output","Package":"p","Test":"Test/C","Output":"panic: oh\n"}
not JSON
`), "test")
	want := map[string]verdict{
		"test Test": failed, "test Test/A": failed, "test Test/B": passed, "test Test/C": failed, // it never ended
	}
	if got := verdicts(r); !maps.Equal(got, want) {
		t.Errorf("the verdicts are %v; want %v", got, want)
	}
	if took := r["test Test/B"].took; took != time.Second/4 {
		t.Errorf("Test/B took %v; want 250ms", took)
	}
	if out := r["test Test/A"].output; out != "why\n" {
		t.Errorf("the output of Test/A is %q", out)
	}
	if want := "why\npanic: oh\nnot JSON\n"; string(text) != want {
		t.Errorf("the text is %q; want %q", text, want)
	}
}

func TestRunPattern(t *testing.T) {
	got := runPattern([]string{"Test/A", "Test/B.1/x", "TestOther"})
	if want := `^(Test|TestOther)$/^(A|B\.1)$/^(x)$`; got != want {
		t.Errorf("the pattern is %s; want %s", got, want)
	}
}

const conformanceOutput = `Sending request for "Basic/unary/success"...
Sending request for "Basic/unary/error"...
FAILED: Basic/unary/error:
	expected code 5
	got code 2

Total cases: 2
1 passed, 1 failed
`

func TestOutputOfConformance(t *testing.T) {
	r, err := parseConformance([]byte(conformanceOutput))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]verdict{"Basic/unary/success": passed, "Basic/unary/error": failed}
	if got := verdicts(r); !maps.Equal(got, want) {
		t.Errorf("the verdicts are %v; want %v", got, want)
	}
	if out := r["Basic/unary/error"].output; out != "expected code 5\ngot code 2\n" {
		t.Errorf("the output is %q", out)
	}
}

func TestOutputOfConformanceThatIsNotComplete(t *testing.T) {
	for name, text := range map[string]string{
		"cut off": strings.ReplaceAll(conformanceOutput, "Total cases: 2", ""),
		"not run": conformanceOutput + "Another 3 could not be run due to client timing out or exiting prematurely.\n",
	} {
		if _, err := parseConformance([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
