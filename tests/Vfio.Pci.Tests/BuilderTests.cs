namespace Vfio.Pci.Tests;

public sealed class BuilderTests
{
    private static IReadOnlyList<string> MistakesOf(Action<PciDeviceBuilder> configure)
    {
        var builder = new PciDeviceBuilder();
        configure(builder);
        return Assert.Throws<PciConfigurationException>(() => builder.Build()).Mistakes;
    }

    private static PciDeviceBuilder Start(PciDeviceBuilder pci) => pci.Id(1, 2).Class(0xFF, 0);

    [Fact]
    public void Empty_declaration_lacks_identity_and_class()
    {
        IReadOnlyList<string> mistakes = MistakesOf(_ => { });
        Assert.Equal(2, mistakes.Count);
        Assert.Contains(mistakes, m => m.Contains("Id(vendor, device)"));
        Assert.Contains(mistakes, m => m.Contains("Class(base, sub)"));
    }

    [Fact]
    public void All_mistakes_are_reported_at_once()
    {
        var block = new CallbackRegisters("regs", 0x10) { Mistakes = ["what is wrong with 'regs'", "what else is wrong with it"] };
        IReadOnlyList<string> mistakes = MistakesOf(pci => Start(pci)
            .Bar(0, 0x1001, PciBarKind.Memory32, false)
            .Bar(1, 0x1000, PciBarKind.Memory64, false)
            .Bar(2, block, 0x10)
            .Bar(2, 0x100, PciBarKind.Memory32, false)
            .Bar(6, 0x100, PciBarKind.Memory32, false)
            .Intx(5)
            .Msi(3)
            .Msi(4)
            .Msix(2049, 0)
            .SerialNumber(1)
            .Doorbell(5, 0, 4, _ => { }));

        foreach (string expected in new[]
        {
            "BAR 0 has 0x1001 bytes", "BAR 1 is 64 bits wide; those start", "what is wrong with 'regs'", "what else is wrong with it",
            "BAR 2 is declared twice", "BAR 6 does not exist", "interrupt pin 5", "3 MSI vectors", "2049 MSI-X vectors",
            "need a PCI Express device", "doorbell at 0x0 of BAR 5",
        })
        {
            Assert.True(mistakes.Any(m => m.Contains(expected)), $"Not reported: {expected}\n{string.Join('\n', mistakes)}");
        }
    }

    [Fact]
    public void Neighbour_of_a_64_bit_bar_must_be_free()
        => Assert.Contains("takes BAR 3", Assert.Single(MistakesOf(pci => Start(pci).Bar(2, 0x1000, PciBarKind.Memory64, false).Bar(3, 0x1000, PciBarKind.Memory32, false))));

    [Theory]
    [InlineData(0x1000u, 300, 0x0u, 0x0u, "overlap")]
    [InlineData(0x1000u, 300, 0x0u, 0x800u, "outside BAR 0")]
    [InlineData(0x1000u, 4, 0x4u, 0x800u, "multiples of 8")]
    public void Msix_must_fit_into_its_bar(uint size, int vectors, uint table, uint pba, string expected)
        => Assert.Contains(MistakesOf(pci => Start(pci).Bar(0, size, PciBarKind.Memory32, false).Msix(vectors, 0, table, pba)), m => m.Contains(expected));

    [Fact]
    public void Msix_may_not_lie_over_registers()
    {
        CallbackRegisters block = new CallbackRegisters("regs", 0x100).Add(0, static () => 0);
        Assert.Contains("overlap registers 'regs'", Assert.Single(MistakesOf(pci => Start(pci).Bar(0, block, 0x1000).Msix(4, 0))));
    }

    [Fact]
    public void Capabilities_may_not_overlap_nor_leave_their_space()
    {
        IReadOnlyList<string> mistakes = MistakesOf(pci => Start(pci).PciExpress(offset: 0x80).Msi(offset: 0x90).PowerManagement(offset: 0x42).SerialNumber(1, offset: 0x200).Vendor(new byte[8], offset: 0xF8));
        Assert.Equal(4, mistakes.Count);
        Assert.Contains(mistakes, m => m.Contains("MSI capability at 0x90 overlaps PCI Express"));
        Assert.Contains(mistakes, m => m.Contains("power management capability is placed at 0x42"));
        Assert.Contains(mistakes, m => m.Contains("0x100, where their list starts"));
        Assert.Contains(mistakes, m => m.Contains("vendor specific capability is placed at 0xF8"));
    }

    [Fact]
    public void Capabilities_that_do_not_fit_are_reported()
        => Assert.Contains("no room", Assert.Single(MistakesOf(pci => Start(pci).Vendor(new byte[150]).Vendor(new byte[150]))));

    [Fact]
    public void Automatic_placement_goes_around_fixed_ones()
    {
        PciConfiguration made = Built(pci => Start(pci).Vendor(new byte[5], offset: 0x48).PowerManagement().Msi().Msix(1, 0));
        Assert.Equal(0x48, made.Config.GetByte(PciRegister.CapabilityPointer));
        Assert.Equal(0x40, made.PowerOffset);
        Assert.Equal((0x40, 0x50), (made.Config.GetByte(0x49), made.Config.GetByte(0x41)));
    }

    [Fact]
    public void Msix_bar_that_is_not_declared_is_made()
    {
        PciConfiguration made = Built(pci => Start(pci).Msix(2048, 4));
        Assert.Equal(0x10000UL, made.Bars[4]!.Size);
        Assert.Equal(PciBarKind.Memory32, made.Bars[4]!.Kind);
    }

    [Fact]
    public void Io_bars_are_small_and_not_prefetchable()
    {
        IReadOnlyList<string> mistakes = MistakesOf(pci => Start(pci).Bar(0, 512, PciBarKind.Io, true));
        Assert.Equal(2, mistakes.Count);
    }

    private static PciConfiguration Built(Action<PciDeviceBuilder> configure)
    {
        var builder = new PciDeviceBuilder();
        configure(builder);
        return builder.Build();
    }
}
