// Form `positions_first_merged`: fairseq: [T, B, E] viewed as [T, B·H, D], with no view behind it that takes B·H apart.
// Read as: full, key padding, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[63,3,160],f32>, %arg1: !torch.vtensor<[63,3,160],f32>, %arg2: !torch.vtensor<[63,3,160],f32>, %arg3: !torch.vtensor<[3,63],i1>) -> !torch.vtensor<[63,3,160],f32> {
    %float1.500000e00 = torch.constant.float 1.500000e+00
    %0 = torch.aten.mul.Scalar %arg0, %float1.500000e00 : !torch.vtensor<[63,3,160],f32>, !torch.float -> !torch.vtensor<[63,3,160],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %int1 = torch.constant.int 1
    %1 = torch.aten.add.Scalar %arg1, %float1.000000e00, %int1 : !torch.vtensor<[63,3,160],f32>, !torch.float, !torch.int -> !torch.vtensor<[63,3,160],f32>
    %float2.000000e00 = torch.constant.float 2.000000e+00
    %2 = torch.aten.mul.Scalar %arg2, %float2.000000e00 : !torch.vtensor<[63,3,160],f32>, !torch.float -> !torch.vtensor<[63,3,160],f32>
    %int63 = torch.constant.int 63
    %int12 = torch.constant.int 12
    %int40 = torch.constant.int 40
    %3 = torch.prim.ListConstruct %int63, %int12, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %4 = torch.aten.view %0, %3 : !torch.vtensor<[63,3,160],f32>, !torch.list<int> -> !torch.vtensor<[63,12,40],f32>
    %int0 = torch.constant.int 0
    %5 = torch.aten.transpose.int %4, %int0, %int1 : !torch.vtensor<[63,12,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[12,63,40],f32>
    %6 = torch.aten.view %1, %3 : !torch.vtensor<[63,3,160],f32>, !torch.list<int> -> !torch.vtensor<[63,12,40],f32>
    %7 = torch.aten.transpose.int %6, %int0, %int1 : !torch.vtensor<[63,12,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[12,63,40],f32>
    %8 = torch.aten.view %2, %3 : !torch.vtensor<[63,3,160],f32>, !torch.list<int> -> !torch.vtensor<[63,12,40],f32>
    %9 = torch.aten.transpose.int %8, %int0, %int1 : !torch.vtensor<[63,12,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[12,63,40],f32>
    %int2 = torch.constant.int 2
    %10 = torch.aten.transpose.int %7, %int1, %int2 : !torch.vtensor<[12,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[12,40,63],f32>
    %int3 = torch.constant.int 3
    %int4 = torch.constant.int 4
    %11 = torch.prim.ListConstruct %int3, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.unflatten.int %5, %int0, %11 : !torch.vtensor<[12,63,40],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[3,4,63,40],f32>
    %13 = torch.aten.unflatten.int %10, %int0, %11 : !torch.vtensor<[12,40,63],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[3,4,40,63],f32>
    %14 = torch.prim.ListConstruct %int0, %int1, %int3, %int2 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %15 = torch.aten.permute %13, %14 : !torch.vtensor<[3,4,40,63],f32>, !torch.list<int> -> !torch.vtensor<[3,4,63,40],f32>
    %16 = torch.aten.unflatten.int %9, %int0, %11 : !torch.vtensor<[12,63,40],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[3,4,63,40],f32>
    %17 = torch.aten.logical_not %arg3 : !torch.vtensor<[3,63],i1> -> !torch.vtensor<[3,63],i1>
    %int-1 = torch.constant.int -1
    %18 = torch.prim.ListConstruct %int-1, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %19 = torch.aten.expand %17, %18, %false : !torch.vtensor<[3,63],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,63],i1>
    %20:2 = torch.operator "torch.hyper.attention"(query = %12, key = %15, value = %16, key_mask = %19, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    %21 = torch.aten.flatten.using_ints %20#0, %int0, %int1 : !torch.vtensor<[3,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[12,63,40],f32>
    %22 = torch.aten.transpose.int %21, %int0, %int1 : !torch.vtensor<[12,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,12,40],f32>
    %int160 = torch.constant.int 160
    %23 = torch.prim.ListConstruct %int63, %int3, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %24 = torch.aten.reshape %22, %23 : !torch.vtensor<[63,12,40],f32>, !torch.list<int> -> !torch.vtensor<[63,3,160],f32>
    return %24 : !torch.vtensor<[63,3,160],f32>
  }
}
