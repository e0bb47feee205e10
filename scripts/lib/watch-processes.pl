#!/usr/bin/perl
# watch-processes.pl FILE: until it is ended by SIGTERM, looks at all processes every few milliseconds; then writes one line
# for each it saw: the name of its first parent, the names it had in turn (joined by '>'), its last command line, the most
# threads it had, and how often it was seen, separated by tabs.
#
# A process that is about to run a program bears its parent's name for a moment; Amanda's tee bears it to its end.
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

my %process;
while ($run) {
    for my $path (glob '/proc/[0-9]*') {
        my ($pid, $name, $parent, $threads, $start) =
            content("$path/stat") =~ /^(\d+) \((.*)\) \S (\d+) (?:\S+ ){15}(\d+) \S+ (\d+)/s or next;
        my $seen = $process{"$pid $start"} //= { order => scalar(keys %process), parent => $parent, names => [], threads => 0, times => 0 };
        $seen->{times}++;
        push @{ $seen->{names} }, $name if ($seen->{names}[-1] // '') ne $name;
        # A zombie has none.
        my $arguments = content("$path/cmdline") =~ tr/\0\n/  /r;
        $seen->{arguments} = $arguments if $arguments ne '';
        $seen->{threads} = $threads if $threads > $seen->{threads};
        $process{$pid} = $name;
        $seen->{parent_name} //= $process{$parent};
    }
    select(undef, undef, undef, 0.003);
}
for my $seen (sort { $a->{order} <=> $b->{order} } grep { ref } values %process) {
    print $out join("\t", $seen->{parent_name} // '-', join('>', @{ $seen->{names} }), $seen->{arguments} // '', $seen->{threads}, $seen->{times}), "\n";
}
close($out) or die "$ARGV[0]: $!\n";
