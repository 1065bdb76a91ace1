#!/bin/sh
# Estimates the integral of e^x from 0 to 1, which is e - 1, by the mean over random points, and writes how far off it is.
# usage: estimate.sh METHOD SAMPLES SEED FILE, where METHOD is plain or antithetic (every point x comes with 1 - x)
set -eu
awk -v method="$1" -v samples="$2" -v seed="$(($3 % 2147483647))" '
BEGIN {
    srand(seed)
    sum = 0
    if (method == "antithetic")
        for (i = 0; i < samples / 2; i++) { x = rand(); sum += exp(x) + exp(1 - x) }
    else
        for (i = 0; i < samples; i++) sum += exp(rand())
    error = sum / samples - (exp(1) - 1)
    printf "metric,value\nabsolute_error,%.17g\n", error < 0 ? -error : error
}' > "$4.part"
mv "$4.part" "$4"
