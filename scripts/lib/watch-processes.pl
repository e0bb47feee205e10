#!/usr/bin/perl
# watch-processes.pl FILE: until it is ended by SIGTERM, looks at all processes every few milliseconds and writes each
# different line "name of the parent <tab> command line" once. Amanda's tee is a fork of sendbackup, so that only the parent's
# name tells it from the first.
use strict;
use warnings;

open(my $out, '>', $ARGV[0]) or die "$ARGV[0]: $!\n";
my $run = 1;
$SIG{TERM} = sub { $run = 0 };

sub content {
    open(my $file, '<', $_[0]) or return '';
    local $/;
    return <$file> // '';
}

my (%seen, %known);
while ($run) {
    for my $path (glob '/proc/[0-9]*') {
        my ($pid, $name, $parent) = content("$path/stat") =~ /^(\d+) \((.*)\) \S (\d+)/s or next;
        my $arguments = content("$path/cmdline") =~ tr/\0\n/  /r;
        $known{$pid} = $name;
        my $line = ($known{$parent} // '-') . "\t$name\t$arguments";
        print $out "$line\n" unless $seen{$line}++;
    }
    select(undef, undef, undef, 0.003);
}
close($out) or die "$ARGV[0]: $!\n";
