package ratelimitredis

import (
	"context"
	"crypto/sha1" //nolint:gosec // EVALSHA names scripts by it
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

//go:embed quota.lua
var script string

const (
	fieldsOfAnswer = 9
	take           = "take"
	charge         = "charge"
)

// request is one call of the script.
type request struct {
	keys []string
	args []string
	sent []*limit // of keys
	most []int    // permits that may be granted, or reserved
}

func newRequest(mode string, demands int) *request {
	r := &request{keys: make([]string, 0, demands), args: make([]string, 1, 1+10*demands)}
	r.args[0] = mode
	return r
}

// add adds a demand.
func (r *request) add(l *limit, key string, a *lease.Ask) {
	r.keys = append(r.keys, key)
	r.sent = append(r.sent, l)
	r.most = append(r.most, max(a.Need, 0)+max(a.Want, 1))
	room := l.args[5]
	if !a.Reserve {
		room = "0"
	}
	r.args = append(r.args, l.args[:5]...)
	r.args = append(r.args, room, strconv.Itoa(a.Need), strconv.Itoa(a.Want), strconv.Itoa(a.Back),
		strconv.FormatInt(a.ID, 10))
}

// run calls the script. It waits until the server answers or the connection is lost.
func (r *request) run(client rueidis.Client, sha string) ([]lease.Answer, error) {
	ctx := context.Background()
	evalsha := client.B().Evalsha().Sha1(sha).Numkeys(int64(len(r.keys))).Key(r.keys...).Arg(r.args...).Build()
	numbers, err := client.Do(ctx, evalsha).AsIntSlice()
	if re, ok := rueidis.IsRedisErr(err); ok && re.IsNoScript() {
		eval := client.B().Eval().Script(script).Numkeys(int64(len(r.keys))).Key(r.keys...).Arg(r.args...).Build()
		numbers, err = client.Do(ctx, eval).AsIntSlice()
	}
	if err != nil {
		return nil, err
	}
	return r.read(numbers)
}

var errNonsense = errors.New("the answer is not one of this package's script")

// read returns the answers in the numbers that the script has returned.
func (r *request) read(numbers []int64) ([]lease.Answer, error) {
	if len(numbers) != fieldsOfAnswer*len(r.keys) {
		return nil, fmt.Errorf("%w: it has %d numbers, want %d", errNonsense, len(numbers), fieldsOfAnswer*len(r.keys))
	}
	answers := make([]lease.Answer, len(r.keys))
	for i := range answers {
		n := numbers[i*fieldsOfAnswer : (i+1)*fieldsOfAnswer]
		for j, value := range n {
			if value < 0 && (j != 4 || value != -1) || value >= exact {
				return nil, fmt.Errorf("%w: number %d is %d", errNonsense, j, value)
			}
		}
		if most := int64(r.most[i]); n[1] > most || n[2] > most {
			return nil, fmt.Errorf("%w: it grants %d and %d permits; want at most %d", errNonsense, n[1], n[2], most)
		}
		answers[i] = lease.Answer{
			OK: n[0] != 0, Granted: int(n[1]), Reserved: int(n[2]),
			Next: micros(n[3]), Retry: micros(n[4]), Worth: micros(n[5]),
			Remaining: int(n[6]), Reset: micros(n[7]), ID: n[8],
		}
		if l := r.sent[i]; l.lease.Windows() {
			answers[i].Valid = answers[i].Next
		}
	}
	return answers, nil
}

func micros(n int64) time.Duration {
	if n < 0 || n > math.MaxInt64/int64(time.Microsecond) {
		return lease.Never
	}
	return time.Duration(n) * time.Microsecond
}

func shaOf(script string) string {
	sum := sha1.Sum([]byte(script)) //nolint:gosec // EVALSHA names scripts by it
	return hex.EncodeToString(sum[:])
}
