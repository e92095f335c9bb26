using System.Diagnostics;
using System.IO.Compression;
using Vfio.Devices.Bench;
using Vfio.Devices.Edu;
using Vfio.Pci.Generators.Model;
using Vfio.TestUtilities;

namespace Vfio.Pci.Generators.Tests;

/// <summary>What a build leaves: table, C header, package.</summary>
public sealed class OutputTests
{
    [Fact]
    public void Table_has_a_line_for_each_register_and_field()
    {
        string[] lines = ModesRegisters.RegistersMarkdown.Split('\n');

        Assert.Contains("| 0x04 | 1, 2, 4 | RW | value | (reset 0x11223344) |", lines);
        Assert.Contains("| 0x30 | 2, 4 | mixed | CC | a mixed register (reset 0x70020) |", lines);
        Assert.Contains("| | bits 6:4 | RW | CC.MODE | what it does: 0 Off, 2 Slow, 5 VeryFast |", lines);
        Assert.Contains("| 0x28 | 4 | not modelled | future | (reset 0x5A) |", lines);
        Assert.Contains("| 0x100 | 4 | RW | tails[0…7], every 0x8 | (reset 0x3) |", lines);
        Assert.Contains("| 0x60 | 16 | – | nothing |  |", lines);
    }

    [Fact]
    public void Headers_compile_and_say_what_was_declared()
    {
        string folder = Directory.CreateTempSubdirectory("vfio-headers").FullName;
        File.WriteAllText(Path.Combine(folder, "modes.h"), ModesRegisters.CHeader);
        File.WriteAllText(Path.Combine(folder, "edu.h"), EduRegisters.CHeader);
        File.WriteAllText(Path.Combine(folder, "bench.h"), BenchRegisters.CHeader);
        File.WriteAllText(Path.Combine(folder, "all.c"), """
            #include "modes.h"
            #include "edu.h"
            #include "bench.h"
            #include "modes.h"
            _Static_assert(EDU_LIVENESS == 0x04 && EDU_DMA_COMMAND == 0x98, "offsets");
            _Static_assert(EDU_STATUS_RAISE_MASK == 0x80U && EDU_STATUS_RAISE_SHIFT == 7, "fields");
            _Static_assert(EDU_IDENTIFICATION_RESET == 0x010000ED, "reset");
            _Static_assert(MODES_TAILS(3) == 0x118 && MODES_TAILS_COUNT == 8, "arrays");
            _Static_assert(MODES_CC_MODE_VERY_FAST == 5, "values");
            enum modes_cc_mode mode = MODES_CC_MODE_SLOW;
            int main(void) { return (int)mode - MODES_CC_MODE_SLOW; }
            """);

        (int status, string output) = Run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", "-o", Path.Combine(folder, "all.o"), Path.Combine(folder, "all.c"));

        Directory.Delete(folder, recursive: true);
        Assert.True(status == 0, output);
    }

    [Fact]
    public void Build_writes_the_headers_of_the_devices()
    {
        Assert.Equal(EduRegisters.CHeader, File.ReadAllText(Checkout.File("artifacts/registers/edu.h")));
        Assert.Equal(BenchRegisters.CHeader, File.ReadAllText(Checkout.File("artifacts/registers/bench.h")));
    }

    [Fact]
    public void Package_brings_the_generator_and_the_target()
    {
        string folder = Directory.CreateTempSubdirectory("vfio-package").FullName;

        (int status, string output) = Run("dotnet", "pack", Checkout.File("src/Vfio.Pci/Vfio.Pci.csproj"), "-c", "Release", "--no-build", "--nologo", "-o", folder);

        Assert.True(status == 0, output);
        using (ZipArchive package = ZipFile.OpenRead(Directory.GetFiles(folder, "*.nupkg").Single()))
        {
            string[] entries = [.. package.Entries.Select(static entry => entry.FullName)];
            Assert.Contains("analyzers/dotnet/cs/Vfio.Pci.Generators.dll", entries);
            Assert.Contains("build/Vfio.Pci.targets", entries);
            Assert.Contains("lib/net10.0/Vfio.Pci.dll", entries);
        }

        Directory.Delete(folder, recursive: true);
    }

    /// <summary>A program outside of this tree that has the package and nothing else: what it needs besides comes from the machine's packages, not from the network.</summary>
    [Fact]
    public void Project_with_the_package_builds_its_registers()
    {
        string folder = Directory.CreateTempSubdirectory("vfio-consumer").FullName;
        string feed = Path.Combine(folder, "feed");
        string[] parts = [.. ((string[])["Vfio.Abi", "Vfio.Linux", "Vfio.Iommu", "Vfio", "Vfio.Pci"]).Select(static part => Checkout.File($"src/{part}/{part}.csproj"))];
        File.WriteAllText(Path.Combine(folder, "pack.proj"), $"""
            <Project>
              <Target Name="Pack">
                <MSBuild Projects="{string.Join(';', parts)}" Targets="Pack" Properties="Configuration=Release;NoBuild=true;PackageOutputPath={feed}" />
              </Target>
            </Project>
            """);
        (int status, string output) = Run("dotnet", "msbuild", Path.Combine(folder, "pack.proj"), "-t:Pack", "-nologo", "-v:q", "-nodeReuse:false");
        Assert.True(status == 0, output);
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget/packages");
        string version = Path.GetFileNameWithoutExtension(Directory.GetFiles(feed, "Vfio.Pci.*.nupkg").Single())["Vfio.Pci.".Length..];
        File.WriteAllText(Path.Combine(folder, "nuget.config"), """<configuration><packageSources><clear /><add key="feed" value="feed" /></packageSources></configuration>""");
        File.WriteAllText(Path.Combine(folder, "Consumer.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <UseAppHost>false</UseAppHost>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <RestorePackagesPath>own</RestorePackagesPath>
                <RestoreFallbackFolders>{packages}</RestoreFallbackFolders>
                <VfioRegisterHeaders>$(MSBuildProjectDirectory)/headers</VfioRegisterHeaders>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Vfio.Pci" Version="{version}" />
              </ItemGroup>
            </Project>
            """);
        File.WriteAllText(Path.Combine(folder, "Program.cs"), """
            using Vfio.Pci;

            var timer = new TimerRegisters();
            timer.Write(0x04, 4, 1);
            timer.Read(0x00, 4, out ulong identification);
            System.Console.Write($"{identification:X} {timer.IsEnabled} {timer.Describe(0x04, 1)}");

            [RegisterFile("timer", Size = 0x20)]
            internal sealed partial class TimerRegisters
            {
                [Register(0x00, Access = RegisterAccess.ReadOnly, Reset = 0x7173_0001)]
                public partial uint Identification { get; }

                [Register(0x04)]
                public partial uint Control { get; }

                [Field(nameof(Control), 0, Name = "enabled")]
                public partial bool IsEnabled { get; }
            }
            """);

        (status, output) = Run("dotnet", "build", Path.Combine(folder, "Consumer.csproj"), "-c", "Release", "--nologo", "-o", Path.Combine(folder, "out"), "-nodeReuse:false", "-p:UseSharedCompilation=false");
        Assert.True(status == 0, output);
        (status, output) = Run("dotnet", Path.Combine(folder, "out/Consumer.dll"));

        Assert.Equal((0, "71730001 True control = 0x00000001 (enabled=1)"), (status, output));
        Assert.Contains("TIMER_CONTROL_ENABLED_MASK", File.ReadAllText(Path.Combine(folder, "headers/timer.h")));
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Modes_of_the_generator_are_those_of_the_library()
        => Assert.Equal(Enum.GetNames<RegisterAccess>().Select(static name => (name, (int)Enum.Parse<RegisterAccess>(name))), Enum.GetNames<AccessKind>().Select(static name => (name, (int)Enum.Parse<AccessKind>(name))));

    private static (int Status, string Output) Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
