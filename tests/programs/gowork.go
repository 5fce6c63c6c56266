// SPDX-License-Identifier: Apache-2.0

// Work with a known profiler beside us: usage: gowork OWN.pb.gz SECONDS. Writes runtime/pprof's
// profile of itself.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"time"
)

//go:noinline
func sortWork(n int) int {
	a := make([]int, n)
	for i := range a {
		a[i] = (i * 7919) % 10007
	}
	sort.Ints(a)
	return a[n/2]
}

//go:noinline
func mapWork(n int) int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[strconv.Itoa(i%997)] += i
	}
	return len(m)
}

//go:noinline
func textWork(n int) int {
	return strings.Count(strings.Repeat("profile ", n), "file")
}

//go:noinline
func hashWork(b []byte) byte {
	sum := sha256.Sum256(b)
	return sum[0]
}

func main() {
	seconds, _ := strconv.Atoi(os.Args[2])
	f, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	pprof.StartCPUProfile(f)
	defer pprof.StopCPUProfile()
	b := make([]byte, 40000)
	done := make(chan int)
	go func() {
		n := 0
		for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
			n += sortWork(3000) + mapWork(3000)
		}
		done <- n
	}()
	n := 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		n += textWork(2000) + int(hashWork(b))
	}
	fmt.Println(n + <-done)
}
